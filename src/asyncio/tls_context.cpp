#include <tercet/asyncio/stream_errors.hpp>
#include <tercet/asyncio/tls_context.hpp>

#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include <new>
#include <stdexcept>
#include <system_error>

#include "asyncio/tls_session.hpp"
#include "asyncio/tls_settings.hpp"

namespace tercet::asyncio {

namespace {

/// "TLS: key_file /etc/key.pem: No such file or directory", with the deepest reason that OpenSSL has.
[[noreturn]] void throw_unusable(const char* option, const std::string& value) {
    const unsigned long code = ERR_peek_error();
    const char* const reason = code != 0 ? ERR_reason_error_string(code) : nullptr;
    std::string text = reason ? reason : "OpenSSL does not take it";
    if (ERR_SYSTEM_ERROR(code)) text = std::system_category().message(ERR_GET_REASON(code));
    ERR_clear_error();
    throw tls_error(fmt::format("TLS: {} {}: {}", option, value, text));
}

/// No question on the terminal of the process: a key with a passphrase is one that cannot be read.
int give_no_passphrase(char*, int, int, void*) { return 0; }

int select_alpn(SSL*, const unsigned char** selected, unsigned char* size, const unsigned char* offered,
                unsigned int offered_size, void* settings) {
    const std::string& ours = static_cast<const tls_settings*>(settings)->alpn();
    unsigned char* found = nullptr;
    const int result = SSL_select_next_proto(&found, size, reinterpret_cast<const unsigned char*>(ours.data()),
                                             static_cast<unsigned int>(ours.size()), offered, offered_size);
    if (result != OPENSSL_NPN_NEGOTIATED) return SSL_TLSEXT_ERR_NOACK;
    *selected = found;
    return SSL_TLSEXT_ERR_OK;
}

int select_server(SSL* session, int* alert, void*) {
    auto& chooser = *static_cast<tls_session*>(SSL_get_app_data(session));
    if (chooser.choose_settings()) return SSL_TLSEXT_ERR_OK;
    *alert = SSL_AD_UNRECOGNIZED_NAME;
    return SSL_TLSEXT_ERR_ALERT_FATAL;
}

/// As a certificate of clients is looked at in the first handshake only, a session that one context has admitted must
/// not be resumed where another was chosen.
void resume_nothing(SSL_CTX* context) {
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_options(context, SSL_OP_NO_TICKET);
    SSL_CTX_set_num_tickets(context, 0);
}

int number_of(tls_version version) noexcept { return version == tls_version::v1_2 ? TLS1_2_VERSION : TLS1_3_VERSION; }

std::string encode_alpn(const std::vector<std::string>& protocols) {
    std::string encoded;
    for (const std::string& each : protocols) {
        if (each.empty() || each.size() > 255) throw_unusable("alpn", fmt::format("\"{}\"", each));
        encoded += static_cast<char>(each.size());
        encoded += each;
    }
    return encoded;
}

void use_certificate(SSL_CTX* context, const std::string& certificate_file, const std::string& key_file) {
    if (SSL_CTX_use_certificate_chain_file(context, certificate_file.c_str()) != 1)
        throw_unusable("certificate_file", certificate_file);
    if (SSL_CTX_use_PrivateKey_file(context, key_file.c_str(), SSL_FILETYPE_PEM) != 1)
        throw_unusable("key_file", key_file);
}

void trust(SSL_CTX* context, const char* option, const std::string& file) {
    if (SSL_CTX_load_verify_file(context, file.c_str()) != 1) throw_unusable(option, file);
}

}  // namespace

void tls_settings::deleter::operator()(ssl_ctx_st* context) const noexcept { SSL_CTX_free(context); }

tls_settings::tls_settings(bool is_server, bool verifies)
    : context_(SSL_CTX_new(is_server ? TLS_server_method() : TLS_client_method())),
      is_server_(is_server),
      verifies_(verifies) {
    if (!context_) throw std::bad_alloc();
    SSL_CTX_set_default_passwd_cb(get(), &give_no_passphrase);
    SSL_CTX_set_mode(get(), SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_options(get(), SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
}

template <class Options>
void tls_settings::set_common(const Options& options) {
    ERR_clear_error();
    SSL_CTX_set_min_proto_version(get(), number_of(options.min_version));
    SSL_CTX_set_max_proto_version(get(), number_of(options.max_version));
    if (options.accept_truncation) SSL_CTX_set_options(get(), SSL_OP_IGNORE_UNEXPECTED_EOF);
    alpn_ = encode_alpn(options.alpn);
}

tls_settings::tls_settings(const tls_client_options& options) : tls_settings(false, options.verify) {
    set_common(options);
    if (!alpn_.empty() && SSL_CTX_set_alpn_protos(get(), reinterpret_cast<const unsigned char*>(alpn_.data()),
                                                  static_cast<unsigned int>(alpn_.size())) != 0)
        throw std::bad_alloc();
    if (!options.certificate_file.empty()) use_certificate(get(), options.certificate_file, options.key_file);
    if (!options.ca_file.empty()) trust(get(), "ca_file", options.ca_file);
    if (!options.ca_directory.empty() && SSL_CTX_load_verify_dir(get(), options.ca_directory.c_str()) != 1)
        throw_unusable("ca_directory", options.ca_directory);
    if (options.ca_file.empty() && options.ca_directory.empty()) SSL_CTX_set_default_verify_paths(get());
    SSL_CTX_set_verify(get(), options.verify ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, nullptr);
}

tls_settings::tls_settings(const tls_server_options& options) : tls_settings(true, !options.client_ca_file.empty()) {
    set_common(options);
    use_certificate(get(), options.certificate_file, options.key_file);
    if (!alpn_.empty()) SSL_CTX_set_alpn_select_cb(get(), &select_alpn, this);
    if (options.choose) {
        choose_ = options.choose;
        SSL_CTX_set_tlsext_servername_callback(get(), &select_server);
        resume_nothing(get());
    }
    if (!verifies_) return;
    // Sessions with certificates of clients are resumed under a name only.
    constexpr std::string_view session_name = "tercet";
    SSL_CTX_set_session_id_context(get(), reinterpret_cast<const unsigned char*>(session_name.data()),
                                   static_cast<unsigned int>(session_name.size()));
    trust(get(), "client_ca_file", options.client_ca_file);
    SSL_CTX_set_client_CA_list(get(), SSL_load_client_CA_file(options.client_ca_file.c_str()));
    SSL_CTX_set_verify(get(), SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
}

std::shared_ptr<const tls_settings> tls_settings::chosen_for(std::string_view server_name) const {
    const std::optional<tls_context> chosen = choose_(server_name);
    if (!chosen) return nullptr;
    if (!chosen->is_server())
        throw std::invalid_argument(fmt::format(
            "TLS: choose gave a client's context for \"{}\"; make it with tls_context::server", server_name));
    return chosen->settings();
}

tls_context tls_context::client(const tls_client_options& options) {
    return tls_context(std::make_shared<const tls_settings>(options));
}

tls_context tls_context::server(const tls_server_options& options) {
    return tls_context(std::make_shared<const tls_settings>(options));
}

bool tls_context::is_server() const noexcept { return settings_->is_server(); }

}  // namespace tercet::asyncio
