#pragma once

#include <tercet/futures/time_limit.hpp>
#include <tercet/multiprocessing/connection.hpp>
#include <tercet/multiprocessing/errors.hpp>

#include <optional>
#include <string>

namespace tercet::multiprocessing {

/// What a `client` has for its listener.
struct client_options {
    std::optional<std::string> authkey = {};  ///< as the listener's
    time_limit timeout = {};                  ///< for the connection and the proof of the key
};

/// A connection to the listener at `address`, as that gives it. Throws `std::system_error`, `timeout_error`,
/// `authentication_error` when the keys differ or only one end has one, `eof_error` when the listener closes.
connection client(const std::string& address, const client_options& options = {});

}  // namespace tercet::multiprocessing
