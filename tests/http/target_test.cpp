#include <gtest/gtest.h>
#include <http/target.hpp>

namespace tercet::http {
namespace {

TEST(target, percent_decoding_keeps_every_byte) {
    EXPECT_EQ(percent_decoded(""), "");
    EXPECT_EQ(percent_decoded("a%20b%2Fc%zz%"), "a b/c%zz%");
    EXPECT_EQ(percent_decoded("a%00b"), std::string("a\0b", 3));
}

TEST(target, splits_path_and_query) {
    EXPECT_EQ(split_target("/a%2Fb/c?x=/1?2").path, "/a%2Fb/c");
    EXPECT_EQ(split_target("/a?x=/1?2").query, "x=/1?2");
    EXPECT_EQ(split_target("/a").query, "");
    EXPECT_EQ(split_target("http://host:80/a/../b?q").path, "/a/../b");
    EXPECT_EQ(split_target("http://host:80/a?q").query, "q");
    EXPECT_EQ(split_target("*").path, "*");
}

}  // namespace
}  // namespace tercet::http
