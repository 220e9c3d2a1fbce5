// Small here; TERCET_FULL_SIZE=1 makes it 10,000 connections that are idle for 10 s, and a million that come and go.

#include <tercet/asyncio.hpp>

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <system_error>
#include <vector>

#include "asyncio/open_descriptors.hpp"
#include "sanitizers.hpp"

using namespace std::chrono_literals;
using namespace tercet::asyncio;

namespace {

bool is_full_size() { return std::getenv("TERCET_FULL_SIZE") != nullptr; }

std::chrono::nanoseconds cpu_of_the_process() {
    rusage used{};
    ::getrusage(RUSAGE_SELF, &used);
    const auto time_of = [](const timeval& part) {
        return std::chrono::seconds(part.tv_sec) + std::chrono::microseconds(part.tv_usec);
    };
    return time_of(used.ru_utime) + time_of(used.ru_stime);
}

std::ptrdiff_t resident_kib() {
    std::ifstream statm("/proc/self/statm");
    std::ptrdiff_t size = 0;
    std::ptrdiff_t resident = 0;
    statm >> size >> resident;
    return resident * (::sysconf(_SC_PAGESIZE) / 1024);
}

void allow_descriptors(std::size_t count) {
    rlimit limit{};
    ::getrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_cur >= count) return;
    limit.rlim_cur = std::min<rlim_t>(limit.rlim_max, count);
    ::setrlimit(RLIMIT_NOFILE, &limit);
    ASSERT_GE(limit.rlim_cur, count) << "ulimit -n is too low";
}

/// What two processes tell each other.
class channel_of_words {
public:
    channel_of_words() { EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends_.data()), 0); }
    channel_of_words(const channel_of_words&) = delete;
    channel_of_words& operator=(const channel_of_words&) = delete;
    ~channel_of_words() {
        for (const int each : ends_) ::close(each);
    }
    void say(int side, std::uint32_t word) const { EXPECT_EQ(::write(end(side), &word, sizeof word), sizeof word); }
    std::uint32_t hear(int side) const {
        std::uint32_t word = 0;
        EXPECT_EQ(::read(end(side), &word, sizeof word), sizeof word);
        return word;
    }
    int end(int side) const { return ends_[static_cast<std::size_t>(side)]; }

private:
    std::array<int, 2> ends_{};
};

/// A server that returns one byte of each client and then waits for its end.
coro<> answer(stream_reader reader, stream_writer writer) {
    try {
        for (;;) {
            const std::string data = co_await reader.read(16);
            if (data.empty()) co_return;
            writer.write(data);
        }
    } catch (const std::system_error& error) {
        EXPECT_EQ(error.code().value(), ECONNRESET);
    }
}

coro<> talk(connection peer, bool is_reset) {
    peer.writer.write("x");
    const std::string data = co_await peer.reader.read_exactly(1);
    EXPECT_EQ(data, "x");
    if (is_reset) peer.writer.abort();
}
coro<> over_tcp(std::uint16_t port) {
    connection peer = co_await open_connection("127.0.0.1", port);
    co_await talk(std::move(peer), true);  // no TIME_WAIT: ports would run out
}
coro<> over_unix(const std::string& path) {
    connection peer = co_await open_unix_connection(path);
    co_await talk(std::move(peer), false);
}

/// Connections that come, say something, and go.
coro<> come_and_go(std::size_t connections) {
    constexpr std::size_t at_once = 100;
    const std::string path = std::string("\0tercet-many-connections-", 25) + std::to_string(::getpid());
    server tcp = co_await start_server(&answer, "127.0.0.1", 0, {.backlog = at_once});
    server local = co_await start_unix_server(&answer, path, {.backlog = at_once});
    for (std::size_t done = 0; done < connections; done += at_once) {
        std::vector<coro<>> batch;
        for (std::size_t i = 0; i < at_once; ++i) batch.push_back(i % 2 == 0 ? over_tcp(tcp.port()) : over_unix(path));
        co_await gather(std::move(batch));
    }
    tcp.close();
    local.close();
    co_await tcp.wait_closed();
    co_await local.wait_closed();
}

}  // namespace

TEST(many_connections, that_come_and_go_leave_nothing_behind) {
    const std::size_t connections = is_full_size() ? 1'000'000 : 10'000;
    ASSERT_NO_FATAL_FAILURE(allow_descriptors(1'000));
    auto main = [&]() -> coro<> {
        co_await come_and_go(2'000);  // threads, pools of memory
        const auto descriptors = open_descriptors();
        const auto tasks = all_tasks().size();
        const auto resident = resident_kib();
        const auto begun = std::chrono::steady_clock::now();
        co_await come_and_go(connections);
        const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begun;
        std::printf("%zu connections in %.1f s: descriptors %td -> %td, tasks %zu -> %zu, memory %td -> %td KiB\n",
                    connections, took.count(), descriptors, open_descriptors(), tasks, all_tasks().size(), resident,
                    resident_kib());
        EXPECT_EQ(open_descriptors(), descriptors);
        EXPECT_EQ(all_tasks().size(), tasks);
        if (!is_under_address_sanitizer && !is_under_thread_sanitizer) {
            EXPECT_LT(resident_kib() - resident, 2048);
        }
    };
    run(main());
}

TEST(many_connections, idle_use_no_cpu) {
    if (is_under_thread_sanitizer) GTEST_SKIP() << "the sanitizer has a thread of its own when it forks";
    const std::size_t connections = is_full_size() ? 10'000 : 1'000;
    const std::chrono::seconds idle = is_full_size() ? 10s : 1s;
    ASSERT_NO_FATAL_FAILURE(allow_descriptors(connections + 100));
    // The far ends are in another process, on a loop as well: one could not have so many descriptors.
    const channel_of_words words;
    const pid_t child = ::fork();
    if (child == 0) {
        auto far_side = [&]() -> coro<> {
            const auto port = static_cast<std::uint16_t>(words.hear(1));
            std::vector<connection> open;
            while (open.size() < connections) {
                connection peer = co_await open_connection("127.0.0.1", port);
                peer.writer.write("x");
                co_await peer.reader.read_exactly(1);
                open.push_back(std::move(peer));
            }
            const auto before = cpu_of_the_process();
            words.say(1, 0);
            co_await readable(words.end(1));
            words.say(1, static_cast<std::uint32_t>((cpu_of_the_process() - before) / 1us));
            for (connection& each : open) each.writer.abort();
        };
        run(far_side());
        ::_exit(0);
    }
    auto main = [&]() -> coro<std::chrono::nanoseconds> {
        server listening = co_await start_server(&answer, "127.0.0.1", 0);
        words.say(0, listening.port());
        co_await readable(words.end(0));
        words.hear(0);
        EXPECT_EQ(listening.client_count(), connections);
        const auto before = cpu_of_the_process();
        co_await sleep(idle);
        const auto used = cpu_of_the_process() - before;
        words.say(0, 0);
        listening.close();
        co_await listening.wait_closed();
        co_return used;
    };
    const std::chrono::nanoseconds used = run(main());
    const std::chrono::nanoseconds used_there = std::chrono::microseconds(words.hear(0));
    int status = 0;
    EXPECT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
    std::printf("%zu connections, idle for %lld s: %lld us of CPU at one end, %lld us at the other\n", connections,
                static_cast<long long>(idle.count()), static_cast<long long>(used / 1us),
                static_cast<long long>(used_there / 1us));
    EXPECT_LT(used, 5ms);
    EXPECT_LT(used_there, 5ms);
}
