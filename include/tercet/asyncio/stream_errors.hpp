#pragma once

#include <cstddef>
#include <stdexcept>
#include <string>

namespace tercet::asyncio {

/// The stream ended before as much was read as was asked for. What had come is in `partial`.
class incomplete_read_error : public std::runtime_error {
public:
    /// `expected` is zero when it was a separator that did not come.
    incomplete_read_error(std::string partial, std::size_t expected);
    /// The bytes that had come; they are not in the stream any more.
    const std::string& partial() const noexcept { return partial_; }
    /// How many bytes were asked for.
    std::size_t expected() const noexcept { return expected_; }

private:
    std::string partial_;
    std::size_t expected_;
};

/// A separator did not come within the limit of the stream. The bytes are still in it: `read` gets past them.
class limit_overrun_error : public std::runtime_error {
public:
    limit_overrun_error(std::size_t limit, std::size_t consumed);
    /// How many bytes at the front of the stream are without the separator.
    std::size_t consumed() const noexcept { return consumed_; }

private:
    std::size_t consumed_;
};

/// TLS failed: "TLS with example.org (192.0.2.1:443): the peer does not speak TLS (wrong version number)".
class tls_error : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

/// The peer's certificate is not accepted: it has expired, is for another name, or by nobody whom we trust.
class certificate_error : public tls_error {
public:
    using tls_error::tls_error;
};

}  // namespace tercet::asyncio
