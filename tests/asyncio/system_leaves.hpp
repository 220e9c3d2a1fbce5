#pragma once

#include <tercet/asyncio.hpp>

#include <gtest/gtest.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <csignal>
#include <latch>
#include <memory>
#include <string>
#include <vector>

#include "asyncio/blocking_call.hpp"
#include "asyncio/file_threads.hpp"
#include "asyncio/leaves.hpp"

// The kinds of waits of every_wait in suspension_test.cpp that are about input and output.

namespace leaves {

/// A stream whose other end is a plain descriptor. What becomes ready is seen in the next poll, in which the inbox
/// comes first.
struct stream_leaf : leaf {
    coro<> set_up() override {
        std::array<int, 2> ends{};
        EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends.data()), 0);
        peer = ends[1];
        stream = stream_pointer(new stream_socket(get_running_loop(), ends[0], {}, stream_socket::default_limit));
        stream->watch();
        co_return;
    }
    ~stream_leaf() override { ::close(peer); }

    void fill() {
        stream_writer writer(stream);
        writer.set_write_buffer_limits(1, 0);
        const std::string block(65536, 'x');
        while (writer.write_buffer_size() == 0) writer.write(block);
        held = std::make_unique<stream_writer>(std::move(writer));
    }
    void drain_peer() const {
        std::string block(1 << 20, '\0');
        while (::recv(peer, block.data(), block.size(), 0) > 0) {
        }
    }

    int peer = -1;
    stream_pointer stream;
    std::unique_ptr<stream_writer> held;
};

struct read_leaf : stream_leaf {
    coro<> wait() override {
        const std::string data = co_await stream_reader(stream).read(10);
        EXPECT_EQ(data, "hello");
    }
    void complete(action then) override {
        EXPECT_EQ(::write(peer, "hello", 5), 5);
        get_running_loop().call_soon_threadsafe(std::move(then));
    }
    coro<bool> is_left() override {
        const std::string data = co_await stream_reader(stream).read_exactly(5);
        co_return data == "hello";
    }
};

struct readable_leaf : read_leaf {
    coro<> wait() override {
        std::array<char, 10> data{};
        co_await stream_reader(stream).readable();  // which is at once the first time
        auto count = stream_reader(stream).try_read_some(data);
        while (!count) {
            co_await stream_reader(stream).readable();
            count = stream_reader(stream).try_read_some(data);
        }
        EXPECT_EQ(std::string(data.data(), *count), "hello");
    }
};

struct read_some_leaf : read_leaf {
    coro<> wait() override {
        std::array<char, 10> data{};
        const std::size_t count = co_await stream_reader(stream).read_some(data);
        EXPECT_EQ(std::string(data.data(), count), "hello");
    }
};

struct drain_leaf : stream_leaf {
    coro<> set_up() override {
        co_await stream_leaf::set_up();
        fill();
    }
    coro<> wait() override { co_await held->drain(); }
    void complete(action then) override {
        drain_peer();
        get_running_loop().call_soon_threadsafe(std::move(then));
    }
};

struct wait_closed_leaf : stream_leaf {
    coro<> set_up() override {
        co_await stream_leaf::set_up();
        fill();
        held->close();
    }
    coro<> wait() override { co_await held->wait_closed(); }
    void complete(action then) override {
        drain_peer();
        get_running_loop().call_soon_threadsafe(std::move(then));
    }
};

struct server_closed_leaf : leaf {
    static coro<> handle(stream_reader, stream_writer) { co_return; }
    coro<> set_up() override {
        auto made = co_await start_server(&handle, "127.0.0.1", 0);
        listening = std::make_unique<server>(std::move(made));
    }
    coro<> wait() override { co_await listening->wait_closed(); }
    void complete(action then) override {
        listening->close();
        then();
    }
    std::unique_ptr<server> listening;
};

/// Signals, as what comes from other threads, come in through the inbox.
struct signal_leaf : leaf {
    coro<> wait() override {
        const int number = co_await set.next();
        EXPECT_EQ(number, SIGUSR1);
    }
    void complete(action then) override {
        ::raise(SIGUSR1);
        get_running_loop().call_soon_threadsafe(std::move(then));
    }
    coro<bool> is_left() override {
        const int number = co_await set.next();
        co_return number == SIGUSR1;
    }
    signal_set set{SIGUSR1};
};

struct subprocess_leaf : leaf {
    coro<> wait() override {
        const int code = co_await child.wait();
        EXPECT_EQ(code, 0);
    }
    void complete(action then) override {
        child.stdin_writer().close();
        siginfo_t how{};
        EXPECT_EQ(::waitid(P_PID, static_cast<id_t>(child.pid()), &how, WEXITED | WNOWAIT), 0);
        get_running_loop().call_soon_threadsafe(std::move(then));
    }
    coro<bool> is_left() override {
        const int code = co_await child.wait();
        co_return code == 0;
    }
    subprocess child = create_subprocess_exec("cat", {}, {.stdin_ = stdio::pipe});
};

struct descriptor_leaf : leaf {
    ~descriptor_leaf() override { ::close(source); }
    coro<> wait() override { co_await readable(source); }
    void complete(action then) override {
        EXPECT_EQ(::eventfd_write(source, 1), 0);
        // The readiness is seen in the next poll, after the inbox, and comes by a callback.
        event_loop& loop = get_running_loop();
        loop.call_soon_threadsafe([&loop, then = std::move(then)] { loop.call_soon(then); });
    }
    coro<bool> is_left() override {
        co_await readable(source);
        co_return true;
    }
    int source = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
};

inline socket_address abstract_address(const char* name) {
    return socket_address::from_path(std::string(1, '\0') + "tercet-" + name + std::to_string(::getpid()));
}

struct receive_from_leaf : leaf {
    receive_from_leaf() { EXPECT_EQ(::connect(peer, address.data(), address.size()), 0); }
    ~receive_from_leaf() override { ::close(peer); }
    coro<> wait() override {
        const datagram got = co_await own.receive_from();
        EXPECT_EQ(got.data, "hello");
    }
    void complete(action then) override {
        EXPECT_EQ(::send(peer, "hello", 5, 0), 5);
        get_running_loop().call_soon_threadsafe(std::move(then));
    }
    coro<bool> is_left() override {
        const datagram got = co_await own.receive_from();
        co_return got.data == "hello";
    }
    socket_address address = abstract_address("own");
    datagram_socket own = open_datagram(address, {});
    int peer = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
};

struct receive_into_leaf : receive_from_leaf {
    coro<> wait() override {
        std::array<char, 10> data{};
        const received_datagram got = co_await own.receive_into(data);
        EXPECT_EQ(std::string(data.data(), got.size), "hello");
    }
};

struct send_datagram_leaf : leaf {
    coro<> set_up() override {
        EXPECT_EQ(::bind(peer, address.data(), address.size()), 0);
        own = std::make_unique<datagram_socket>(open_datagram({}, address));
        const int other = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        while (::sendto(other, "x", 1, 0, address.data(), address.size()) == 1) {
        }
        ::close(other);
        co_return;
    }
    ~send_datagram_leaf() override { ::close(peer); }
    coro<> wait() override { co_await own->send("hello"); }
    void complete(action then) override {
        receive_all();
        get_running_loop().call_soon_threadsafe(std::move(then));
    }
    coro<bool> is_left() override { co_return !receive_all(); }
    /// Whether a message of ours was among them.
    bool receive_all() const {
        bool is_ours = false;
        std::array<char, 5> data{};
        for (ssize_t count = 0; (count = ::recv(peer, data.data(), data.size(), 0)) > 0;) is_ours |= count == 5;
        return is_ours;
    }
    socket_address address = abstract_address("peer");
    int peer = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    std::unique_ptr<datagram_socket> own;
};

/// A call on another thread. It can be cancelled only before it begins, so all threads are busy at first.
struct blocking_leaf : leaf {
    coro<> set_up() override {
        auto hold = [this]() -> coro<> {
            auto call = blocking_call_of([this] {
                entered.count_down();
                gate.wait();
                return 0;
            });
            co_await call;
        };
        for (std::size_t i = 0; i < file_threads::max_threads; ++i) holders.push_back(spawn(hold));
        co_await sleep(0s);
        entered.wait();
    }
    coro<> wait() override {
        is_waiting = true;
        auto call = blocking_call_of([this] {
            is_made = true;
            made.count_down();
            return 1;
        });
        try {
            co_await call;
        } catch (const cancelled_error&) {
            is_waiting = false;
            throw;
        }
    }
    void complete(action then) override {
        gate.count_down();
        if (is_waiting && !is_cancelled) made.wait();
        get_running_loop().call_soon_threadsafe(std::move(then));
    }
    void cancelled() override { is_cancelled = true; }
    coro<bool> is_left() override {
        co_await tear_down();
        co_return !is_made;
    }
    coro<> tear_down() override {
        for (task<>& each : holders) co_await each;
    }
    std::latch entered{file_threads::max_threads};
    std::latch gate{1};
    std::latch made{1};
    std::atomic<bool> is_made = false;
    bool is_waiting = false;
    bool is_cancelled = false;
    std::vector<task<>> holders;
};

}  // namespace leaves
