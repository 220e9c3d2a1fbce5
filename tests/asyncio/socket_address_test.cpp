#include <tercet/asyncio/socket_address.hpp>

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <stdexcept>
#include <string>
#include <vector>

using tercet::asyncio::socket_address;

TEST(socket_address, internet_addresses_have_host_and_port) {
    const auto v4 = socket_address::from_numeric("127.0.0.1", 80).value();
    EXPECT_EQ(v4.host(), "127.0.0.1");
    EXPECT_EQ(v4.port(), 80);
    EXPECT_EQ(v4.to_string(), "127.0.0.1:80");
    EXPECT_EQ(v4.path(), "");
    const auto v6 = socket_address::from_numeric("::1", 81).value();
    EXPECT_EQ(v6.to_string(), "[::1]:81");
    EXPECT_FALSE(v6.is_unix());
    EXPECT_FALSE(socket_address::from_numeric("localhost", 80));
}

TEST(socket_address, unix_sockets_have_a_path) {
    const auto file = socket_address::from_path("/run/echo.socket");
    EXPECT_TRUE(file.is_unix());
    EXPECT_EQ(file.path(), "/run/echo.socket");
    EXPECT_EQ(file.to_string(), "/run/echo.socket");
    EXPECT_EQ(file.host(), "?");
    EXPECT_EQ(file.port(), 0);
}

TEST(socket_address, an_abstract_name_may_have_any_byte) {
    const std::string name("\0ec\0ho", 6);
    const auto abstract = socket_address::from_path(name);
    EXPECT_EQ(abstract.path(), name);
    EXPECT_EQ(abstract.to_string(), std::string("@ec\0ho", 6));
}

TEST(socket_address, a_path_is_as_long_as_the_system_allows) {
    EXPECT_EQ(socket_address::from_path(std::string(107, 'x')).path(), std::string(107, 'x'));
    EXPECT_EQ(socket_address::from_path('\0' + std::string(107, 'x')).path(), '\0' + std::string(107, 'x'));
    const std::vector<std::string> wrong{"", std::string(1, '\0'), std::string(108, 'x'), '\0' + std::string(108, 'x'),
                                         std::string("a\0b", 3)};
    for (const std::string& each : wrong)
        EXPECT_THROW(static_cast<void>(socket_address::from_path(each)), std::invalid_argument) << each.size();
}

TEST(socket_address, the_names_of_a_pair_are_empty) {
    std::array<int, 2> ends{};
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()), 0);
    EXPECT_EQ(socket_address::local_of(ends[0]).path(), "");
    EXPECT_EQ(socket_address::peer_of(ends[0]).to_string(), "a unix socket");
    EXPECT_EQ(socket_address().to_string(), "?");
    for (const int each : ends) ::close(each);
    EXPECT_EQ(socket_address::local_of(ends[0]).to_string(), "?");
}
