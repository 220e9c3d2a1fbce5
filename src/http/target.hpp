#pragma once

#include <string>

namespace tercet::http {

/// The parts of what stands between the method and the version in a request line, still percent-encoded.
struct target_parts {
    std::string path;
    std::string query;
};

/// Splits `/path?query`, also after `http://host`. Whatever else it is, `*` or `host:port`, is all path.
target_parts split_target(const std::string& target);

/// Percent-decodes `text`. Throws `std::bad_alloc`.
std::string percent_decoded(const std::string& text);

}  // namespace tercet::http
