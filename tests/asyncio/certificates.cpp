#include "asyncio/certificates.hpp"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <cstdio>
#include <stdexcept>

namespace {

void check(bool is_done, const char* what) {
    if (!is_done) throw std::runtime_error(std::string("certificates: ") + what);
}

void add_extension(X509& certificate, X509* issuer, int which, const std::string& value) {
    X509V3_CTX context;
    X509V3_set_ctx(&context, issuer ? issuer : &certificate, &certificate, nullptr, nullptr, 0);
    X509_EXTENSION* const extension = X509V3_EXT_conf_nid(nullptr, &context, which, value.c_str());
    check(extension && X509_add_ext(&certificate, extension, -1) == 1, value.c_str());
    X509_EXTENSION_free(extension);
}

template <class Write>
void write_file(const std::string& path, Write write) {
    std::FILE* const file = std::fopen(path.c_str(), "w");
    check(file && write(file) == 1, path.c_str());
    std::fclose(file);
}

}  // namespace

void certificates::freer::operator()(evp_pkey_st* key) const noexcept { EVP_PKEY_free(key); }
void certificates::freer::operator()(x509_st* certificate) const noexcept { X509_free(certificate); }

certificates::certificates() : authority_file_(folder_.path_of("authority.pem")), authority_key_(EVP_EC_gen("P-256")) {
    check(authority_key_ != nullptr, "key");
    authority_ = make(*authority_key_, "authority of tests", "", 3600, nullptr, *authority_key_);
    write_file(authority_file_, [&](std::FILE* file) { return PEM_write_X509(file, authority_.get()); });
}

certificates::~certificates() = default;

certificates::certificate_pointer certificates::make(evp_pkey_st& key, const std::string& subject,
                                                     const std::string& names, long expires_in, x509_st* issuer,
                                                     evp_pkey_st& signing) {
    certificate_pointer made(X509_new());
    check(made != nullptr, "certificate");
    X509_set_version(made.get(), X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(made.get()), next_serial_++);
    X509_gmtime_adj(X509_getm_notBefore(made.get()), expires_in - 86400);
    X509_gmtime_adj(X509_getm_notAfter(made.get()), expires_in);
    X509_set_pubkey(made.get(), &key);
    X509_NAME* const name = X509_get_subject_name(made.get());
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, reinterpret_cast<const unsigned char*>(subject.c_str()), -1,
                               -1, 0);
    X509_set_issuer_name(made.get(), issuer ? X509_get_subject_name(issuer) : name);
    add_extension(*made, issuer, NID_basic_constraints, names.empty() ? "critical,CA:TRUE" : "critical,CA:FALSE");
    if (!names.empty()) add_extension(*made, issuer, NID_subject_alt_name, names);
    check(X509_sign(made.get(), &signing, EVP_sha256()) > 0, "signature");
    return made;
}

certificates::files certificates::issue(const std::string& names, long expires_in, signer by) {
    const std::string number = std::to_string(next_serial_);
    const files made{folder_.path_of("certificate" + number + ".pem"), folder_.path_of("key" + number + ".pem")};
    const key_pointer key(EVP_EC_gen("P-256"));
    check(key != nullptr, "key");
    const bool is_self_signed = by == signer::itself;
    const certificate_pointer certificate =
        make(*key, "test " + number, names, expires_in, is_self_signed ? nullptr : authority_.get(),
             is_self_signed ? *key : *authority_key_);
    write_file(made.certificate, [&](std::FILE* file) { return PEM_write_X509(file, certificate.get()); });
    write_file(made.key, [&](std::FILE* file) {
        return PEM_write_PrivateKey(file, key.get(), nullptr, nullptr, 0, nullptr, nullptr);
    });
    return made;
}
