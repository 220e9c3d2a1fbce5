#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace tercet::http {

/// One header field of a request or an answer.
struct header {
    std::string name = {};
    std::string value = {};

    friend bool operator==(const header&, const header&) = default;
};

/// Whether `text` may be a method or the name of a header field.
bool is_token(std::string_view text) noexcept;

/// Whether two names of header fields are the same; their case does not count.
bool same_name(std::string_view a, std::string_view b) noexcept;

/// The value of the first field called `name` in any case, null when there is none.
const std::string* find_header(const std::vector<header>& headers, std::string_view name) noexcept;

/// Throws `std::invalid_argument` unless `field` can stand in a message: a name of token characters, a value without
/// line breaks, so that what a user gave cannot become a second field.
void check_header(const header& field);

}  // namespace tercet::http
