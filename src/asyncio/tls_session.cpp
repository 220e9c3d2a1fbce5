// OpenSSL between two buffers in memory (BIOs). It never waits: when it needs more it says so. Everything that was fed
// is decrypted in one go, so nothing that could be read ever hides in here while a stream waits for its socket.
//
// OpenSSL keeps the errors of a thread in a queue, oldest first; the oldest is the cause. The queue is emptied before
// each call, since others may have left something there.

#include "asyncio/tls_session.hpp"

#include <tercet/asyncio/stream_errors.hpp>

#include <arpa/inet.h>
#include <fmt/format.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <array>
#include <new>
#include <stdexcept>
#include <utility>

#include "asyncio/tls_settings.hpp"

namespace tercet::asyncio {

namespace {

bool is_numeric(const std::string& name) noexcept {
    in6_addr room{};
    return ::inet_pton(AF_INET, name.c_str(), &room) == 1 || ::inet_pton(AF_INET6, name.c_str(), &room) == 1;
}

bool is_of_no_tls(int reason) noexcept {
    switch (reason) {
        case SSL_R_WRONG_VERSION_NUMBER:
        case SSL_R_UNKNOWN_PROTOCOL:
        case SSL_R_HTTP_REQUEST:
        case SSL_R_HTTPS_PROXY_REQUEST:
        case SSL_R_PACKET_LENGTH_TOO_LONG:
        case SSL_R_RECORD_LENGTH_MISMATCH:
            return true;
        default:
            return false;
    }
}

std::string text_of(const X509_NAME* name) {
    const std::unique_ptr<BIO, decltype(&::BIO_free)> text(BIO_new(BIO_s_mem()), &::BIO_free);
    if (!text || !name) return {};
    X509_NAME_print_ex(text.get(), name, 0, XN_FLAG_ONELINE & ~ASN1_STRFLGS_ESC_MSB);
    char* bytes = nullptr;
    const long size = BIO_get_mem_data(text.get(), &bytes);
    return {bytes, static_cast<std::size_t>(size)};
}

}  // namespace

void tls_session::deleter::operator()(ssl_st* session) const noexcept { SSL_free(session); }

tls_session::tls_session(std::shared_ptr<const tls_settings> settings, std::string server_name)
    : settings_(std::move(settings)), server_name_(std::move(server_name)), session_(SSL_new(settings_->get())) {
    SSL* const session = session_.get();
    input_ = BIO_new(BIO_s_mem());
    output_ = BIO_new(BIO_s_mem());
    if (!session || !input_ || !output_) {
        BIO_free(input_);
        BIO_free(output_);
        throw std::bad_alloc();
    }
    SSL_set_bio(session, input_, output_);
    SSL_set_app_data(session, this);
    if (settings_->is_server()) {
        SSL_set_accept_state(session);
        return;
    }
    SSL_set_connect_state(session);
    if (server_name_.empty()) {
        if (settings_->verifies()) throw std::invalid_argument("TLS: the server's name is needed to verify it");
        return;
    }
    bool is_set = true;
    if (is_numeric(server_name_)) {  // has no place in the greeting (RFC 6066), but may stand in a certificate
        is_set = X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(session), server_name_.c_str()) == 1;
    } else {
        SSL_set_hostflags(session, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
        is_set = SSL_set_tlsext_host_name(session, server_name_.c_str()) == 1 &&
                 SSL_set1_host(session, server_name_.c_str()) == 1;
    }
    if (!is_set) throw std::invalid_argument("TLS: a server cannot be called " + server_name_);
}

tls_session::step tls_session::step_of(int result) noexcept {
    if (result > 0) return step::done;
    switch (SSL_get_error(session_.get(), result)) {
        case SSL_ERROR_WANT_READ:
            return step::needs_input;
        case SSL_ERROR_ZERO_RETURN:
            return step::ended;
        default:
            fail();
            return step::failed;
    }
}

void tls_session::fail() noexcept {
    const unsigned long code = ERR_peek_error();
    const int reason = ERR_GET_REASON(code);
    const char* const text = code != 0 ? ERR_reason_error_string(code) : nullptr;
    const bool is_ours = ERR_GET_LIB(code) == ERR_LIB_SSL;
    failure_ = {text ? text : "the connection is unusable"};
    if (is_ours && reason == SSL_R_CERTIFICATE_VERIFY_FAILED) {
        is_certificate_refused_ = true;
        failure_ = {"the certificate is refused: ",
                    X509_verify_cert_error_string(SSL_get_verify_result(session_.get()))};
    } else if (is_ours && reason == SSL_R_UNEXPECTED_EOF_WHILE_READING) {
        failure_ = {is_established_ ? "the connection was cut: it ended without TLS having said so"
                                    : "the peer ended the connection during the handshake"};
    } else if (is_ours && is_of_no_tls(reason)) {
        failure_ = {"the peer does not speak TLS (", failure_.text, ")"};
    }
    ERR_clear_error();
}

tls_session::step tls_session::shake_hands() noexcept {
    if (has_failed()) return step::failed;
    ERR_clear_error();
    step result = step_of(SSL_do_handshake(session_.get()));
    if (result == step::ended) {
        failure_ = {"the peer ended the connection during the handshake"};
        result = step::failed;
    }
    is_established_ = result == step::done;
    return result;
}

tls_session::step tls_session::decrypt(receive_buffer& into) {
    for (;;) {
        if (has_failed()) return step::failed;
        const std::span<char> room = into.prepare();
        std::size_t count = 0;
        ERR_clear_error();
        const step result = step_of(SSL_read_ex(session_.get(), room.data(), room.size(), &count));
        if (result != step::done) return result;
        into.commit(count);
    }
}

bool tls_session::encrypt(std::string_view data) noexcept {
    if (has_failed()) return false;
    std::size_t count = 0;
    ERR_clear_error();
    // The output has room for all: it is a buffer that grows.
    if (!data.empty() && step_of(SSL_write_ex(session_.get(), data.data(), data.size(), &count)) != step::done) {
        if (!has_failed()) failure_ = {"the peer wants to shake hands again"};
        return false;
    }
    return true;
}

void tls_session::end_output() noexcept {
    if (!is_established_ || has_failed()) return;
    ERR_clear_error();
    SSL_shutdown(session_.get());
    ERR_clear_error();
}

void tls_session::feed(std::span<const char> arrived) {
    std::size_t count = 0;
    if (!arrived.empty() && BIO_write_ex(input_, arrived.data(), arrived.size(), &count) != 1) throw std::bad_alloc();
}

void tls_session::end_input() noexcept { BIO_set_mem_eof_return(input_, 0); }

std::string_view tls_session::output() const noexcept {
    char* bytes = nullptr;
    const long size = BIO_get_mem_data(output_, &bytes);
    return {bytes, static_cast<std::size_t>(size)};
}

void tls_session::clear_output() noexcept { static_cast<void>(BIO_reset(output_)); }

bool tls_session::choose_settings() noexcept {
    SSL* const session = session_.get();
    if (std::exchange(has_chosen_, true)) return true;  // a client that has to begin again is heard of twice
    try {
        const char* const name = SSL_get_servername(session, TLSEXT_NAMETYPE_host_name);
        const std::shared_ptr<const tls_settings> chosen = settings_->chosen_for(name ? name : "");
        if (!chosen) return true;
        SSL_CTX* const context = chosen->get();
        if (!SSL_set_SSL_CTX(session, context)) throw std::bad_alloc();
        // These stay those of the first otherwise.
        SSL_set_verify(session, SSL_CTX_get_verify_mode(context), nullptr);
        SSL_clear_options(session, SSL_OP_IGNORE_UNEXPECTED_EOF);
        SSL_set_options(session, SSL_CTX_get_options(context) & SSL_OP_IGNORE_UNEXPECTED_EOF);
        settings_ = chosen;
        return true;
    } catch (...) {
        choice_error_ = std::current_exception();
        return false;
    }
}

void tls_session::throw_failure(const std::string& what) const {
    if (choice_error_) std::rethrow_exception(choice_error_);
    std::string text = fmt::format("{}: {}{}{}", what, failure_.text, failure_.reason, failure_.end);
    if (is_certificate_refused_) throw certificate_error(text);
    throw tls_error(text);
}

tls_info tls_session::info() const {
    SSL* const session = session_.get();
    tls_info known;
    known.version = SSL_get_version(session);
    if (const char* const cipher = SSL_get_cipher_name(session)) known.cipher = cipher;
    const unsigned char* protocol = nullptr;
    unsigned int size = 0;
    SSL_get0_alpn_selected(session, &protocol, &size);
    if (size > 0) known.alpn.assign(reinterpret_cast<const char*>(protocol), size);
    if (const char* const name = SSL_get_servername(session, TLSEXT_NAMETYPE_host_name)) known.server_name = name;
    if (const X509* const certificate = SSL_get0_peer_certificate(session))
        known.peer_certificate = text_of(X509_get_subject_name(certificate));
    return known;
}

}  // namespace tercet::asyncio
