#pragma once

#include <string>

namespace tercet::http {

/// An http or https URL that can be fetched.
struct checked_url {
    std::string text;       ///< normalised
    std::string shown;      ///< without user and password: for texts that people read
    std::string host;       ///< an IPv6 address keeps its brackets
    std::string authority;  ///< host:port
};

/// Takes `url` apart with libcurl's parser. Throws `std::invalid_argument` that names the URL and the remedy.
checked_url check_url(const std::string& url);

/// `url` as it may stand in an error text: without user and password.
std::string without_credentials(const std::string& url);

}  // namespace tercet::http
