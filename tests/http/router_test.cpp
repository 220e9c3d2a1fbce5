#include <tercet/asyncio/coro.hpp>

#include <gmock/gmock.h>
#include <http/router.hpp>

#include <stdexcept>

namespace tercet::http {
namespace {

asyncio::coro<server_response> nothing(server_request) { co_return server_response{}; }

/// The parameters that `path` gives on `pattern`; {"none"} when it does not match.
std::vector<parameter> parameters_of(std::string_view pattern, std::string_view path) {
    router routes;
    routes.add("GET", pattern, nothing);
    auto found = routes.find("GET", path);
    if (!found.found) return {{"none", ""}};
    return found.parameters;
}

const std::vector<parameter> no_match{{"none", ""}};
const std::vector<parameter> no_parameters{};

TEST(router, words_match_themselves_only) {
    EXPECT_EQ(parameters_of("/", "/"), no_parameters);
    EXPECT_EQ(parameters_of("/a/b", "/a/b"), no_parameters);
    EXPECT_EQ(parameters_of("/a/b", "/%61/b"), no_parameters);
    EXPECT_EQ(parameters_of("/a/b", "/a"), no_match);
    EXPECT_EQ(parameters_of("/a/b", "/a/b/"), no_match);
    EXPECT_EQ(parameters_of("/a/b", "/a/b/c"), no_match);
    EXPECT_EQ(parameters_of("/a/b", "/A/b"), no_match);
    EXPECT_EQ(parameters_of("/a", "*"), no_match);
    EXPECT_EQ(parameters_of("/a", ""), no_match);
}

TEST(router, parameter_takes_one_segment_that_is_not_empty) {
    EXPECT_EQ(parameters_of("/a/{x}", "/a/1"), (std::vector<parameter>{{"x", "1"}}));
    EXPECT_EQ(parameters_of("/{x}/{y}", "/1/2"), (std::vector<parameter>{{"x", "1"}, {"y", "2"}}));
    EXPECT_EQ(parameters_of("/a/{x}", "/a/b%2Fc%20d"), (std::vector<parameter>{{"x", "b/c d"}}));
    EXPECT_EQ(parameters_of("/a/{x}", "/a/"), no_match);
    EXPECT_EQ(parameters_of("/a/{x}", "/a/1/2"), no_match);
}

TEST(router, rest_takes_everything_below) {
    EXPECT_EQ(parameters_of("/s/{p...}", "/s/a/b/c"), (std::vector<parameter>{{"p", "a/b/c"}}));
    EXPECT_EQ(parameters_of("/s/{p...}", "/s/"), (std::vector<parameter>{{"p", ""}}));
    EXPECT_EQ(parameters_of("/s/{p...}", "/s"), (std::vector<parameter>{{"p", ""}}));
    EXPECT_EQ(parameters_of("/s/{p...}", "/t"), no_match);
    EXPECT_EQ(parameters_of("/{p...}", "/"), (std::vector<parameter>{{"p", ""}}));
}

TEST(router, most_particular_pattern_wins_in_any_order) {
    router routes;
    routes.add("GET", "/{all...}", nothing);
    routes.add("GET", "/users/{id}", nothing);
    routes.add("GET", "/users/me", nothing);
    routes.add("GET", "/users/{id}/posts", nothing);
    EXPECT_EQ(routes.find("GET", "/users/me").parameters, no_parameters);
    EXPECT_EQ(routes.find("GET", "/users/7").parameters, (std::vector<parameter>{{"id", "7"}}));
    EXPECT_EQ(routes.find("GET", "/users/7/posts").parameters, (std::vector<parameter>{{"id", "7"}}));
    EXPECT_EQ(routes.find("GET", "/users/7/x").parameters, (std::vector<parameter>{{"all", "users/7/x"}}));
}

TEST(router, another_method_is_told_what_is_allowed) {
    router routes;
    routes.add("GET", "/a", nothing);
    routes.add("PUT", "/a", nothing);
    const auto refused = routes.find("POST", "/a");
    EXPECT_EQ(refused.found, nullptr);
    EXPECT_EQ(refused.allowed, "GET, HEAD, PUT");
    EXPECT_EQ(routes.find("POST", "/b").allowed, "");
}

TEST(router, head_goes_to_get_unless_it_has_its_own) {
    router routes;
    routes.add("GET", "/a/{x}", nothing);
    EXPECT_NE(routes.find("HEAD", "/a/1").found, nullptr);
    EXPECT_EQ(routes.find("HEAD", "/a/1").parameters, (std::vector<parameter>{{"x", "1"}}));
    routes.add("HEAD", "/a/{y}", nothing);
    EXPECT_EQ(routes.find("HEAD", "/a/1").parameters, (std::vector<parameter>{{"y", "1"}}));
}

TEST(router, malformed_and_doubled_patterns_are_refused) {
    router routes;
    for (const char* pattern : {"", "a", "/{", "/}", "/{}", "/{...}", "/a{x}", "/{x}b", "/{x...}/a", "/{{x}}"})
        EXPECT_THROW(routes.add("GET", pattern, nothing), std::invalid_argument) << pattern;
    EXPECT_THROW(routes.add("G T", "/", nothing), std::invalid_argument);
    EXPECT_THROW(routes.add("GET", "/", nullptr), std::invalid_argument);
    routes.add("GET", "/a/{x}", nothing);
    EXPECT_THROW(routes.add("GET", "/a/{y}", nothing), std::invalid_argument);
    EXPECT_NO_THROW(routes.add("PUT", "/a/{y}", nothing));
}

}  // namespace
}  // namespace tercet::http
