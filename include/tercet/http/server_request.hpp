#pragma once

#include <tercet/http/header.hpp>

#include <string>
#include <string_view>
#include <vector>

namespace tercet::http {

/// A name and a value of a query or of a route.
struct parameter {
    std::string name = {};
    std::string value = {};

    friend bool operator==(const parameter&, const parameter&) = default;
};

/// A request as a server's handler sees it, complete. Plain data.
struct server_request {
    std::string method = {};
    std::string target = {};                 ///< as it was sent
    std::string path = {};                   ///< percent-decoded
    std::vector<parameter> query = {};       ///< decoded, in order; a name may occur more than once
    std::vector<parameter> parameters = {};  ///< of the route's pattern, decoded
    std::vector<header> headers = {};
    std::string body = {};
    std::string client = {};  ///< address and port

    const std::string* find_header(std::string_view name) const noexcept { return http::find_header(headers, name); }

    /// The value of the first query parameter called `name`, null when there is none.
    const std::string* find_query(std::string_view name) const noexcept;

    /// The value of `{name}` in the route's pattern. Throws `std::out_of_range` when the pattern has no such part.
    const std::string& parameter_named(std::string_view name) const;
};

/// Takes the query of a URL, or a form in a body, apart: `a=1&b=x+y`.
std::vector<parameter> parse_query(std::string_view text);

}  // namespace tercet::http
