// Routes are tried from the most to the least particular, segment by segment: a word before a {parameter}, that before
// a {rest...}; so the order in which they were added does not matter, and "/users/me" wins over "/users/{id}".

#include <fmt/format.h>
#include <http/router.hpp>
#include <http/target.hpp>

#include <algorithm>
#include <stdexcept>
#include <utility>

namespace tercet::http {

namespace {

/// "/a/b" has the segments "a" and "b", "/a/" has "a" and "", "/" has "".
std::vector<std::string_view> split(std::string_view path) {
    std::vector<std::string_view> segments;
    path.remove_prefix(1);
    for (;;) {
        const auto end = path.find('/');
        segments.push_back(path.substr(0, end));
        if (end == path.npos) return segments;
        path.remove_prefix(end + 1);
    }
}

std::string join(const std::vector<std::string>& segments, std::size_t first) {
    std::string joined;
    for (std::size_t i = first; i < segments.size(); ++i) {
        if (i > first) joined += '/';
        joined += segments[i];
    }
    return joined;
}

}  // namespace

void router::add(std::string method, std::string_view pattern, handler what) {
    if (!is_token(method))
        throw std::invalid_argument(fmt::format("route method '{}': write a word such as GET", method));
    if (!what) throw std::invalid_argument(fmt::format("route {} {}: the handler is empty", method, pattern));
    route added{
        .method = std::move(method), .segments = parse(pattern), .what = std::make_shared<handler>(std::move(what))};
    const auto place = std::ranges::upper_bound(routes_, added, &is_before);
    for (const route& other : routes_)
        if (other.method == added.method && !is_before(other, added) && !is_before(added, other))
            throw std::invalid_argument(
                fmt::format("route {} {}: there is one already that takes the same paths", added.method, pattern));
    routes_.insert(place, std::move(added));
}

std::vector<router::segment> router::parse(std::string_view pattern) {
    if (!pattern.starts_with('/'))
        throw std::invalid_argument(fmt::format("route pattern '{}': it must begin with /", pattern));
    std::vector<segment> segments;
    for (const std::string_view text : split(pattern)) {
        if (!segments.empty() && segments.back().type == kind::rest)
            throw std::invalid_argument(fmt::format("route pattern '{}': {{name...}} must be its end", pattern));
        const bool has_brace = text.find_first_of("{}") != text.npos;
        if (!has_brace) {
            segments.push_back({.type = kind::literal, .text = std::string(text)});
            continue;
        }
        std::string_view name = text.substr(1, text.size() < 2 ? 0 : text.size() - 2);
        const bool is_rest = name.ends_with("...");
        if (is_rest) name.remove_suffix(3);
        if (!text.starts_with('{') || !text.ends_with('}') || name.empty() || name.find_first_of("{}") != name.npos)
            throw std::invalid_argument(
                fmt::format("route pattern '{}': write {{name}} or {{name...}} between slashes", pattern));
        segments.push_back({.type = is_rest ? kind::rest : kind::parameter, .text = std::string(name)});
    }
    return segments;
}

bool router::is_before(const route& a, const route& b) noexcept {
    return std::ranges::lexicographical_compare(a.segments, b.segments, [](const segment& x, const segment& y) {
        if (x.type != y.type) return x.type < y.type;
        return x.type == kind::literal && x.text < y.text;
    });
}

bool router::accepts(const route& candidate, const std::vector<std::string>& path, std::vector<parameter>& parameters) {
    parameters.clear();
    const auto& segments = candidate.segments;
    for (std::size_t i = 0; i < segments.size(); ++i) {
        if (segments[i].type == kind::rest) {
            if (i > path.size()) return false;
            parameters.push_back({.name = segments[i].text, .value = join(path, i)});
            return true;
        }
        if (i >= path.size()) return false;
        if (segments[i].type == kind::literal) {
            if (segments[i].text != path[i]) return false;
        } else {
            if (path[i].empty()) return false;
            parameters.push_back({.name = segments[i].text, .value = path[i]});
        }
    }
    return segments.size() == path.size();
}

router::match router::find(std::string_view method, std::string_view raw_path) const {
    match result;
    if (!raw_path.starts_with('/')) return result;
    std::vector<std::string> path;
    for (const std::string_view text : split(raw_path)) path.push_back(percent_decoded(std::string(text)));
    std::vector<std::string> others;
    const route* for_head = nullptr;
    for (const route& candidate : routes_) {
        std::vector<parameter> parameters;
        if (!accepts(candidate, path, parameters)) continue;
        if (candidate.method == method) return {.found = candidate.what, .parameters = std::move(parameters)};
        if (method == "HEAD" && candidate.method == "GET" && !for_head) {
            for_head = &candidate;
            result.parameters = std::move(parameters);
        }
        others.push_back(candidate.method);
        if (candidate.method == "GET") others.emplace_back("HEAD");
    }
    if (for_head) {
        result.found = for_head->what;
        return result;
    }
    std::ranges::sort(others);
    const auto [first, last] = std::ranges::unique(others);
    others.erase(first, last);
    for (const std::string& other : others) result.allowed += (result.allowed.empty() ? "" : ", ") + other;
    return result;
}

}  // namespace tercet::http
