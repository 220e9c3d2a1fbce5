#include "url_list.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "usage_error.hpp"

namespace {

using namespace tercet::tools;

TEST(url_list, skips_blank_lines_comments_and_the_space_around_urls) {
    const std::string path = testing::TempDir() + "/url_list_test.txt";
    std::ofstream(path) << "# first\n\nhttp://a.example/\n   \t\n  https://b.example/x?y=z \r\n";
    EXPECT_THAT(read_url_list(path), testing::ElementsAre("http://a.example/", "https://b.example/x?y=z"));
    std::filesystem::remove(path);
}

TEST(url_list, accepts_what_a_client_can_fetch_and_nothing_else) {
    EXPECT_NO_THROW(check_url("http://127.0.0.1:8080/delay/1", "test"));
    EXPECT_NO_THROW(check_url("https://[::1]/", "test"));
    for (const char* bad : {"", "http://", "nonsense url", "ftp://host/", "http://host:99999/"})
        EXPECT_THROW(check_url(bad, "test"), usage_error) << bad;
}

}  // namespace
