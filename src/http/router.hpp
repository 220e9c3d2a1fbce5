#pragma once

#include <tercet/http/handler.hpp>
#include <tercet/http/server_request.hpp>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace tercet::http {

/// Finds the handler for a method and a path.
class router {
public:
    struct match {
        std::shared_ptr<const handler> found = nullptr;  ///< null: nothing for this path and method
        std::vector<parameter> parameters = {};
        std::string allowed = {};  ///< the methods that the path has, when it has not this one: "GET, HEAD"
    };

    /// Throws `std::invalid_argument` for a pattern that is malformed or there already.
    void add(std::string method, std::string_view pattern, handler what);

    /// `raw_path` is still percent-encoded.
    match find(std::string_view method, std::string_view raw_path) const;

private:
    enum class kind : unsigned char { literal, parameter, rest };  // from the most to the least particular
    struct segment {
        kind type;
        std::string text;  ///< what must stand there, decoded, or the parameter's name
        friend bool operator==(const segment&, const segment&) = default;
    };
    struct route {
        std::string method;
        std::vector<segment> segments;
        std::shared_ptr<const handler> what;  // shared with the calls that run while routes are added
    };

    static std::vector<segment> parse(std::string_view pattern);
    static bool is_before(const route& a, const route& b) noexcept;
    static bool accepts(const route& candidate, const std::vector<std::string>& path,
                        std::vector<parameter>& parameters);

    std::vector<route> routes_;  // the most particular first
};

}  // namespace tercet::http
