#include <tercet/http/server_request.hpp>

#include <fmt/format.h>
#include <http/target.hpp>

#include <algorithm>
#include <stdexcept>

namespace tercet::http {

namespace {

const std::string* find(const std::vector<parameter>& parameters, std::string_view name) noexcept {
    const auto found = std::ranges::find(parameters, name, &parameter::name);
    return found == parameters.end() ? nullptr : &found->value;
}

std::string form_decoded(std::string_view text) {
    std::string spaced(text);
    std::ranges::replace(spaced, '+', ' ');
    return percent_decoded(spaced);
}

}  // namespace

const std::string* server_request::find_query(std::string_view name) const noexcept { return find(query, name); }

const std::string& server_request::parameter_named(std::string_view name) const {
    if (const std::string* const value = find(parameters, name)) return *value;
    throw std::out_of_range(fmt::format("the route's pattern has no {{{}}}", name));
}

std::vector<parameter> parse_query(std::string_view text) {
    std::vector<parameter> result;
    while (!text.empty()) {
        const std::string_view pair = text.substr(0, text.find('&'));
        text.remove_prefix(std::min(text.size(), pair.size() + 1));
        if (pair.empty()) continue;
        const std::string_view name = pair.substr(0, pair.find('='));
        const std::string_view value = pair.substr(std::min(pair.size(), name.size() + 1));
        result.push_back({.name = form_decoded(name), .value = form_decoded(value)});
    }
    return result;
}

}  // namespace tercet::http
