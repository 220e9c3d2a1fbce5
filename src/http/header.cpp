#include <tercet/http/header.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>

namespace tercet::http {

namespace {

constexpr std::string_view other_token_characters = "!#$%&'*+-.^_`|~";

constexpr char lower(char c) noexcept { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

}  // namespace

bool is_token(std::string_view text) noexcept {
    return !text.empty() && std::ranges::all_of(text, [](char c) {
        return (c >= '0' && c <= '9') || (lower(c) >= 'a' && lower(c) <= 'z') ||
               other_token_characters.find(c) != std::string_view::npos;
    });
}

bool same_name(std::string_view a, std::string_view b) noexcept { return std::ranges::equal(a, b, {}, lower, lower); }

const std::string* find_header(const std::vector<header>& headers, std::string_view name) noexcept {
    const auto found =
        std::ranges::find_if(headers, [name](const header& field) { return same_name(field.name, name); });
    return found == headers.end() ? nullptr : &found->value;
}

void check_header(const header& field) {
    if (!is_token(field.name))
        throw std::invalid_argument(
            fmt::format("header name '{}': only letters, digits and !#$%&'*+-.^_`|~ may stand in it", field.name));
    constexpr std::string_view refused("\r\n\0", 3);
    if (field.value.find_first_of(refused) != std::string::npos)
        throw std::invalid_argument(
            fmt::format("header {}: the value has a line break or a zero byte; encode it", field.name));
}

}  // namespace tercet::http
