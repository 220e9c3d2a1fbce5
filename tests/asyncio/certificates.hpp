#pragma once

#include <memory>
#include <string>

#include "temporary_folder.hpp"

struct evp_pkey_st;
struct x509_st;

/// Certificates in files, made for one test.
class certificates {
public:
    struct files {
        std::string certificate;
        std::string key;
    };
    enum class signer { authority, itself };

    /// Makes an authority.
    certificates();
    certificates(const certificates&) = delete;
    certificates& operator=(const certificates&) = delete;
    ~certificates();

    /// The authority's own certificate.
    const std::string& authority_file() const noexcept { return authority_file_; }

    /// A certificate for `names` ("DNS:localhost,IP:127.0.0.1") that is valid from a day before `expires_in` seconds to
    /// then, from now.
    files issue(const std::string& names, long expires_in = 3600, signer by = signer::authority);

private:
    struct freer {
        void operator()(evp_pkey_st* key) const noexcept;
        void operator()(x509_st* certificate) const noexcept;
    };
    using key_pointer = std::unique_ptr<evp_pkey_st, freer>;
    using certificate_pointer = std::unique_ptr<x509_st, freer>;

    certificate_pointer make(evp_pkey_st& key, const std::string& subject, const std::string& names, long expires_in,
                             x509_st* issuer, evp_pkey_st& signing);

    temporary_folder folder_;
    std::string authority_file_;
    key_pointer authority_key_;
    certificate_pointer authority_;
    long next_serial_ = 1;
};
