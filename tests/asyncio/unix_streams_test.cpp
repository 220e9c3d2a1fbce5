#include <tercet/asyncio.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>
#include <system_error>
#include <vector>

#include "asyncio/open_descriptors.hpp"
#include "asyncio/stream_pair.hpp"
#include "temporary_folder.hpp"

using namespace std::chrono_literals;
using namespace tercet::asyncio;
using testing::HasSubstr;

namespace {

coro<std::string> ask(std::string path, std::string question) {
    connection peer = co_await open_unix_connection(std::move(path));
    peer.writer.write(question);
    peer.writer.write_eof();
    co_return co_await peer.reader.read();
}

/// Listens, and accepts nobody.
int listen_at(const socket_address& address, int backlog) {
    const int descriptor = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    EXPECT_EQ(::bind(descriptor, address.data(), address.size()), 0);
    EXPECT_EQ(::listen(descriptor, backlog), 0);
    return descriptor;
}

}  // namespace

TEST(unix_streams, echo_returns_what_was_sent_and_the_file_goes_with_the_server) {
    const temporary_folder folder;
    const std::string path = folder.path_of("echo.socket");
    auto main = [&]() -> coro<> {
        server echo_server = co_await start_unix_server(&echo, path);
        EXPECT_EQ(echo_server.addresses().front().path(), path);
        EXPECT_EQ(echo_server.port(), 0);
        EXPECT_TRUE(std::filesystem::is_socket(path));
        connection peer = co_await open_unix_connection(path);
        EXPECT_EQ(peer.writer.peer_address().path(), path);
        const std::string answer = co_await ask(path, "hello");
        EXPECT_EQ(answer, "hello");
        echo_server.close();
        EXPECT_FALSE(std::filesystem::exists(path));
    };
    run(main());
}

TEST(unix_streams, an_abstract_name_needs_no_file) {
    const std::string name = '\0' + std::string("tercet-test-") + std::to_string(::getpid());
    auto main = [&]() -> coro<> {
        server echo_server = co_await start_unix_server(&echo, name);
        EXPECT_EQ(echo_server.addresses().front().path(), name);
        const std::string answer = co_await ask(name, "hello");
        EXPECT_EQ(answer, "hello");
    };
    run(main());
}

TEST(unix_streams, a_file_that_has_taken_the_place_of_the_socket_is_left_alone) {
    const temporary_folder folder;
    const std::string path = folder.path_of("echo.socket");
    auto main = [&]() -> coro<> {
        server first = co_await start_unix_server(&echo, path);
        std::filesystem::remove(path);
        server second = co_await start_unix_server(&echo, path);
        first.close();
        EXPECT_TRUE(std::filesystem::is_socket(path));
        const std::string answer = co_await ask(path, "hello");
        EXPECT_EQ(answer, "hello");
        std::filesystem::remove(path);
        std::ofstream(path) << "mine";
        second.close();
        EXPECT_TRUE(std::filesystem::is_regular_file(path));
    };
    run(main());
}

TEST(unix_streams, a_file_that_is_gone_already_is_no_error) {
    const temporary_folder folder;
    const std::string path = folder.path_of("echo.socket");
    auto main = [&]() -> coro<> {
        server echo_server = co_await start_unix_server(&echo, path);
        std::filesystem::remove(path);
        echo_server.close();
    };
    run(main());
    EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

TEST(unix_streams, a_socket_that_a_dead_server_has_left_is_replaced) {
    const temporary_folder folder;
    const std::string path = folder.path_of("echo.socket");
    ::close(listen_at(socket_address::from_path(path), 1));
    EXPECT_TRUE(std::filesystem::is_socket(path));
    auto main = [&]() -> coro<> {
        server echo_server = co_await start_unix_server(&echo, path);
        const std::string answer = co_await ask(path, "hello");
        EXPECT_EQ(answer, "hello");
    };
    run(main());
    EXPECT_FALSE(std::filesystem::exists(path));
}

TEST(unix_streams, what_is_in_use_is_not_replaced) {
    const temporary_folder folder;
    const std::string socket = folder.path_of("echo.socket");
    const std::string file = folder.path_of("file");
    std::ofstream(file) << "mine";
    const auto before = open_descriptors();
    auto main = [&]() -> coro<> {
        server first = co_await start_unix_server(&echo, socket);
        for (const std::string& path : {socket, file}) {
            try {
                co_await start_unix_server(&echo, path);
                ADD_FAILURE();
            } catch (const std::system_error& error) {
                EXPECT_EQ(error.what(), "listen " + path + ": Address already in use");
            }
        }
        const std::string answer = co_await ask(socket, "hello");
        EXPECT_EQ(answer, "hello");
    };
    run(main());
    EXPECT_TRUE(std::filesystem::is_regular_file(file));
    EXPECT_EQ(open_descriptors(), before);
}

TEST(unix_streams, errors_name_the_path) {
    const temporary_folder folder;
    const std::string path = folder.path_of("nobody.socket");
    auto main = [&]() -> coro<> { co_await ask(path, "hello"); };
    try {
        run(main());
        ADD_FAILURE();
    } catch (const std::system_error& error) {
        EXPECT_EQ(error.what(), "connect " + path + ": No such file or directory");
    }
    auto too_long = []() -> coro<> { co_await ask(std::string(200, 'x'), "hello"); };
    EXPECT_THROW(run(too_long()), std::invalid_argument);
}

TEST(unix_streams, a_server_whose_queue_is_full_is_waited_for) {
    const temporary_folder folder;
    const auto address = socket_address::from_path(folder.path_of("echo.socket"));
    const int listening = listen_at(address, 0);
    auto main = [&]() -> coro<> {
        const auto before = open_descriptors();
        connection first = co_await open_unix_connection(address.path());
        task<connection> second = create_task(open_unix_connection(address.path()));
        for (int turn = 0; turn < 5; ++turn) co_await sleep(0s);
        EXPECT_FALSE(second.done());
        bool is_cancelled = false;
        try {
            co_await timeout(3ms, open_unix_connection(address.path()));
        } catch (const tercet::timeout_error&) {
            is_cancelled = true;
        }
        EXPECT_TRUE(is_cancelled);
        const int accepted = ::accept4(listening, nullptr, nullptr, SOCK_CLOEXEC);
        EXPECT_GE(accepted, 0);
        const connection made = co_await timeout(5s, second);
        EXPECT_FALSE(made.writer.is_closing());
        EXPECT_EQ(open_descriptors(), before + 3);
        ::close(accepted);
    };
    run(main());
    ::close(listening);
}
