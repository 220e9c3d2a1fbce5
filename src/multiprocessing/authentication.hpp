#pragma once

#include <tercet/multiprocessing/connection.hpp>

#include <chrono>
#include <optional>
#include <string>

namespace tercet::multiprocessing {

using authkey_type = std::optional<std::string>;

/// What the two ends of a new connection say before anything else. Each throws `authentication_error` when the keys
/// differ or only one end has one, `timeout_error`, and what `connection` throws.
void welcome_client(connection& line, const authkey_type& key, time_limit::clock::time_point deadline);
void greet_listener(connection& line, const authkey_type& key, time_limit::clock::time_point deadline);

}  // namespace tercet::multiprocessing
