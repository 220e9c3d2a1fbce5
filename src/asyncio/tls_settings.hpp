#pragma once

#include <tercet/asyncio/tls_context.hpp>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

struct ssl_ctx_st;

namespace tercet::asyncio {

/// What a `tls_context` holds.
class tls_settings {
public:
    explicit tls_settings(const tls_client_options& options);
    explicit tls_settings(const tls_server_options& options);

    bool is_server() const noexcept { return is_server_; }
    bool verifies() const noexcept { return verifies_; }
    ssl_ctx_st* get() const noexcept { return context_.get(); }
    /// The protocols as they go over the wire: each behind its length.
    const std::string& alpn() const noexcept { return alpn_; }
    /// The settings for a server of that name; null: these. Throws what the user's function throws, and
    /// `std::invalid_argument` when it gives a client's.
    std::shared_ptr<const tls_settings> chosen_for(std::string_view server_name) const;

private:
    struct deleter {
        void operator()(ssl_ctx_st* context) const noexcept;
    };

    tls_settings(bool is_server, bool verifies);
    template <class Options>
    void set_common(const Options& options);

    std::unique_ptr<ssl_ctx_st, deleter> context_;
    std::string alpn_;
    std::function<std::optional<tls_context>(std::string_view)> choose_;
    bool is_server_;
    bool verifies_;
};

}  // namespace tercet::asyncio
