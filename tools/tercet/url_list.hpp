#pragma once

#include <string>
#include <vector>

namespace tercet::tools {

/// The URLs of a file, one a line; blank lines and lines that begin with # are skipped. Throws `usage_error` that names
/// the file, and the line of a URL that is none.
std::vector<std::string> read_url_list(const std::string& path);

/// Throws `usage_error`, headed by `origin`, unless `url` is one that a client can fetch.
void check_url(const std::string& url, const std::string& origin);

}  // namespace tercet::tools
