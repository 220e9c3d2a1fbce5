#include <tercet/futures/errors.hpp>
#include <tercet/multiprocessing/client.hpp>
#include <tercet/multiprocessing/listener.hpp>
#include <tercet/multiprocessing/pipe.hpp>
#include <tercet/multiprocessing/process.hpp>
#include <tercet/multiprocessing/wait_ready.hpp>

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <future>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "forked_child.hpp"
#include "multiprocessing/line_address.hpp"
#include "process_probe.hpp"
#include "signal_storm.hpp"
#include "temporary_folder.hpp"

namespace tercet::multiprocessing {
namespace {

using namespace std::chrono_literals;

TEST(listener, clients_of_other_processes_come_by_every_kind_of_address) {
    const temporary_folder folder;
    for (const std::string& address :
         {std::string(), std::string("127.0.0.1:0"), std::string("@tercet-test-") + std::to_string(::getpid()),
          (folder.path() / "socket").string()}) {
        listener server(address, {.authkey = "secret"});
        process child(
            [](const std::string& where) {
                connection line = client(where, {.authkey = "secret"});
                line.send(line.recv<int>() * 2);
            },
            server.address());
        child.start();
        EXPECT_THAT(wait_ready({server}, 10s), testing::ElementsAre(0));
        connection line = server.accept();
        line.send(21);
        EXPECT_EQ(line.recv<int>(), 42) << server.address();
        child.join();
        EXPECT_EQ(child.exitcode(), 0);
    }
}

TEST(listener, its_socket_file_goes_with_it_unless_it_was_replaced) {
    const temporary_folder folder;
    const auto path = folder.path() / "socket";
    { const listener server(path.string()); }
    EXPECT_FALSE(std::filesystem::exists(path));
    {
        const listener server(path.string());
        EXPECT_THROW(listener(path.string()), std::system_error);
        std::filesystem::remove(path);
        std::ofstream(path) << "another's";
    }
    EXPECT_TRUE(std::filesystem::exists(path));
}

TEST(listener, a_forked_copy_that_closes_it_leaves_the_socket_file) {
    const temporary_folder folder;
    const auto path = folder.path() / "socket";
    listener server(path.string());
    forked_child copy([&] {
        server.close();
        return 0;
    });
    EXPECT_EQ(copy.wait(), 0);
    EXPECT_TRUE(std::filesystem::exists(path));
    server.close();
    EXPECT_FALSE(std::filesystem::exists(path));
}

TEST(listener, an_address_can_be_used_again_at_once) {
    std::string address = "127.0.0.1:0";
    for (int i = 0; i < 5; ++i) {
        listener server(address);
        address = server.address();
        auto line = std::async(std::launch::async, [&] { return client(address); });
        server.accept(10s).send(i);
        EXPECT_EQ(line.get().recv<int>(), i);
    }
}

/// What the two ends throw; empty: nothing.
std::pair<std::string, std::string> errors_of(const std::optional<std::string>& listeners,
                                              const std::optional<std::string>& clients) {
    listener server("127.0.0.1:0", {.authkey = listeners});
    auto other = std::async(std::launch::async, [&]() -> std::string {
        try {
            client(server.address(), {.authkey = clients});
            return {};
        } catch (const authentication_error& e) {
            return e.what();
        }
    });
    std::string mine;
    try {
        server.accept(10s);
    } catch (const authentication_error& e) {
        mine = e.what();
    }
    return {mine, other.get()};
}

TEST(listener, a_wrong_authkey_is_an_error_at_both_ends) {
    EXPECT_EQ(errors_of("one", "one"), std::pair(std::string(), std::string()));
    EXPECT_EQ(errors_of(std::nullopt, std::nullopt), std::pair(std::string(), std::string()));
    EXPECT_EQ(errors_of("one", "two"), std::pair(std::string("listener: accept: a client has another authkey"),
                                                 std::string("client: the listener has another authkey")));
    EXPECT_EQ(errors_of("one", std::nullopt),
              std::pair(std::string("listener: accept: a client has no authkey, and this listener wants one"),
                        std::string("client: the listener wants an authkey")));
    EXPECT_EQ(errors_of(std::nullopt, "two"),
              std::pair(std::string("listener: accept: a client has an authkey, and this listener none"),
                        std::string("client: the listener has no authkey")));
    EXPECT_EQ(errors_of("", std::nullopt).second, "client: the listener wants an authkey");
}

TEST(listener, a_client_that_says_nothing_is_dropped_and_the_next_one_served) {
    listener server("127.0.0.1:0", {.authkey = "secret", .answer_timeout = 50ms});
    const unique_fd silent(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = ::htonl(INADDR_LOOPBACK);
    address.sin_port = ::htons(static_cast<std::uint16_t>(std::stoi(server.address().substr(10))));
    ASSERT_EQ(::connect(silent.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    EXPECT_THROW(server.accept(10s), authentication_error);
    auto next = std::async(std::launch::async, [&] { return client(server.address(), {.authkey = "secret"}); });
    server.accept(10s).send(1);
    EXPECT_EQ(next.get().recv<int>(), 1);
}

TEST(listener, descriptors_do_not_travel_over_tcp) {
    listener server("127.0.0.1:0");
    auto other = std::async(std::launch::async, [&] { return client(server.address()); });
    connection line = server.accept(10s);
    const connection far = other.get();
    EXPECT_THROW(line.send(far), std::system_error);
}

TEST(listener, accept_keeps_its_time_limit_whatever_signals_come) {
    listener server;
    signal_storm storm;
    const auto start = std::chrono::steady_clock::now();
    EXPECT_THROW(server.accept(100ms), timeout_error);
    EXPECT_GE(std::chrono::steady_clock::now() - start, 100ms);
    EXPECT_LT(std::chrono::steady_clock::now() - start, 10s);
    EXPECT_GT(storm.count(), 0);
}

TEST(listener, says_what_is_wrong_with_an_address) {
    EXPECT_THROW(listener("nonsense"), std::invalid_argument);
    EXPECT_THROW(listener("/" + std::string(200, 'x')), std::invalid_argument);
    EXPECT_THROW(client("127.0.0.1:1"), std::system_error);
    EXPECT_THROW(client("@nobody-listens-here"), std::system_error);
    listener closed;
    closed.close();
    EXPECT_THROW(closed.accept(), invalid_state_error);
}

TEST(listener, as_many_clients_wait_as_its_backlog_says) {
    for (const int backlog : {1, 5}) {
        const listener server({}, {.backlog = backlog});
        const line_address address = parse_address(server.address()).front();
        std::vector<unique_fd> waiting;
        for (int i = 0; i < 20; ++i) {
            unique_fd socket = open_socket(AF_UNIX);
            if (::connect(socket.get(), address.data(), address.size) == 0) waiting.push_back(std::move(socket));
        }
        EXPECT_EQ(waiting.size(), static_cast<std::size_t>(backlog) + 1) << "Linux has one more";
    }
    EXPECT_THROW(listener({}, {.backlog = 0}), std::invalid_argument);
}

TEST(listener, a_client_whom_nobody_accepts_gives_up_in_time) {
    const listener server;
    EXPECT_THROW(client(server.address(), {.timeout = 20ms}), timeout_error);
}

}  // namespace
}  // namespace tercet::multiprocessing
