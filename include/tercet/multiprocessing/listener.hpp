#pragma once

#include <tercet/futures/time_limit.hpp>
#include <tercet/multiprocessing/connection.hpp>
#include <tercet/multiprocessing/errors.hpp>

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

namespace tercet::multiprocessing {

/// What a `listener` asks of its clients.
struct listener_options {
    /// A secret of both ends. Each proves to the other that it has it (HMAC-SHA256 of a random challenge), and nothing
    /// else is encrypted. Nothing: a client must not have one either.
    std::optional<std::string> authkey = {};
    int backlog = 128;                                ///< how many clients may wait for `accept`
    std::chrono::milliseconds answer_timeout{5'000};  ///< how long a client may take to prove itself
};

/// Waits for clients at an address:
///
///     "/run/app/socket"    a Unix socket in the file system, whose file goes with the listener
///     "@name"              a Unix socket without a file, for processes of the same user
///     "127.0.0.1:8080"     TCP; "[::1]:0" and "localhost:0" for any free port
///     ""                   "@" and a random name
///
/// Values are sent in the machine's own byte order, for programs from the same compiler. One thread at a time.
class listener {
public:
    /// Throws `std::system_error`, `std::invalid_argument` for what is no address. A socket file that a listener has
    /// left which was killed is replaced.
    explicit listener(std::string address = {}, listener_options options = {});
    listener(listener&& other) noexcept;
    listener& operator=(listener&& other) noexcept;
    ~listener();

    /// The next client, waiting up to `limit` for one. Throws `timeout_error`; `authentication_error` when the client
    /// does not have the key, or says nothing, and has been dropped: call it again; `std::system_error`;
    /// `invalid_state_error` when closed.
    connection accept(time_limit limit = {});

    /// With the port that was chosen.
    const std::string& address() const noexcept { return address_; }
    /// Readable when a client waits. Throws `invalid_state_error` when closed.
    int fileno() const;
    void close() noexcept;

private:
    unique_fd socket_;
    std::string address_;
    listener_options options_;
    std::string file_;  ///< of the socket, to be removed while it is still this one
    std::uint64_t file_generation_ = 0;
    dev_t file_device_ = 0;
    ino_t file_number_ = 0;
};

}  // namespace tercet::multiprocessing
