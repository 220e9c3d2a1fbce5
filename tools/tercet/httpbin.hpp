#pragma once

#include <cstdint>
#include <string>

namespace tercet::tools {

struct httpbin_options {
    std::string host = "127.0.0.1";
    std::uint16_t port = 8080;  ///< 0: any free one
    bool until_eof = false;     ///< ends when standard input does
};

/// Serves until SIGINT or SIGTERM, or until standard input ends. Prints where it listens. Returns the exit status.
int httpbin(const httpbin_options& options);

}  // namespace tercet::tools
