#pragma once

#include <tercet/multiprocessing/connection.hpp>

#include <utility>

namespace tercet::multiprocessing {

/// Two connected ends. With `duplex` both send and receive; else the first only receives and the second only sends.
/// Throws `std::system_error`.
std::pair<connection, connection> pipe(bool duplex = true);

}  // namespace tercet::multiprocessing
