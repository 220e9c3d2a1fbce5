#pragma once

#include <stdexcept>

namespace tercet::http {

/// An exchange that failed for a reason of HTTP, TLS or name resolution; `what()` names the request and the reason.
/// A connection that the system refused is a `std::system_error` instead, one that took too long a
/// `tercet::timeout_error`, and a request that cannot be sent a `std::invalid_argument`.
class error : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

}  // namespace tercet::http
