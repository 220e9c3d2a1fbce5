#pragma once

#include <tercet/asyncio/receive_buffer.hpp>
#include <tercet/asyncio/tls_context.hpp>

#include <exception>
#include <memory>
#include <span>
#include <string>
#include <string_view>

struct ssl_st;
struct bio_st;

namespace tercet::asyncio {

/// TLS of one connection, without the connection: bytes that have come are fed in, bytes that are to go are taken out.
class tls_session {
public:
    enum class step : unsigned char {
        done,
        needs_input,  ///< feed what comes, and try again
        ended,        ///< the peer has said that it sends no more
        failed,       ///< for good: see `failure`
    };

    /// `server_name` is whom a client calls, and whose certificate it expects. Throws `std::bad_alloc`, and
    /// `std::invalid_argument` when a name is needed and empty.
    tls_session(std::shared_ptr<const tls_settings> settings, std::string server_name);
    tls_session(const tls_session&) = delete;
    tls_session& operator=(const tls_session&) = delete;

    step shake_hands() noexcept;
    bool is_established() const noexcept { return is_established_; }
    bool has_failed() const noexcept { return failure_.text != nullptr; }

    /// Appends to `into` all that can be decrypted of what was fed: `done` is not returned. Throws `std::bad_alloc`.
    step decrypt(receive_buffer& into);
    /// False: it failed.
    bool encrypt(std::string_view data) noexcept;
    /// Says that nothing more will be sent.
    void end_output() noexcept;

    /// Throws `std::bad_alloc`.
    void feed(std::span<const char> arrived);
    /// The connection ended.
    void end_input() noexcept;

    /// What is to be sent; stays until `clear_output`.
    std::string_view output() const noexcept;
    void clear_output() noexcept;

    /// For the handshake of a server: takes the settings that are chosen for the name that the client gave. False: that
    /// failed.
    bool choose_settings() noexcept;

    /// Throws `tls_error`, `certificate_error` when it is that: `what` and the reason; and what the choice of settings
    /// threw.
    [[noreturn]] void throw_failure(const std::string& what) const;
    tls_info info() const;

private:
    struct deleter {
        void operator()(ssl_st* session) const noexcept;
    };
    /// A text in pieces that are constants, OpenSSL's among them: a session can fail when there is no memory.
    struct failure {
        const char* text = nullptr;
        const char* reason = "";
        const char* end = "";
    };

    step step_of(int result) noexcept;
    void fail() noexcept;

    std::shared_ptr<const tls_settings> settings_;
    std::string server_name_;
    std::unique_ptr<ssl_st, deleter> session_;
    bio_st* input_ = nullptr;  // both belong to the session
    bio_st* output_ = nullptr;
    failure failure_;
    std::exception_ptr choice_error_;
    bool has_chosen_ = false;
    bool is_established_ = false;
    bool is_certificate_refused_ = false;
};

}  // namespace tercet::asyncio
