#include <tercet/asyncio.hpp>
#include <tercet/futures/errors.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <string>
#include <system_error>
#include <vector>

#include "asyncio/stream_pair.hpp"
#include "asyncio/thread_executor.hpp"

using namespace std::chrono_literals;
using namespace tercet::asyncio;
using testing::ElementsAre;
using testing::HasSubstr;

namespace {

using clock = std::chrono::steady_clock;

std::chrono::nanoseconds now() { return get_running_loop().time().time_since_epoch(); }

/// The error number of a system call that fails, 0 when it does not.
template <class Awaitable>
coro<int> error_of(Awaitable awaited) {
    try {
        co_await std::move(awaited);
    } catch (const std::system_error& error) {
        co_return error.code().value();
    }
    co_return 0;
}

coro<std::string> ask(std::string host, std::string question) {
    connection opened = co_await open_connection(std::move(host), 7);
    opened.writer.write(question);
    std::string answer = co_await opened.reader.read_exactly(question.size());
    co_return answer;
}

/// The order in which five tasks take four steps each.
std::string order_of(std::uint64_t seed) {
    std::string order;
    auto steps = [](std::string& trace, char name) -> coro<> {
        for (int i = 0; i < 4; ++i) {
            trace += name;
            co_await sleep(0s);
        }
    };
    auto main = [&]() -> coro<> {
        std::vector<coro<>> all;
        for (const char name : {'a', 'b', 'c', 'd', 'e'}) all.push_back(steps(order, name));
        co_await gather(std::move(all));
    };
    sim::run(main(), {.seed = seed});
    return order;
}

}  // namespace

TEST(sim, a_day_of_sleep_takes_no_time_and_is_exact) {
    const auto begun = clock::now();
    auto main = []() -> coro<std::chrono::nanoseconds> {
        const auto before = now();
        co_await sleep(24h);
        co_return now() - before;
    };
    EXPECT_EQ(sim::run(main()), 24h);
    EXPECT_LT(clock::now() - begun, 10s);
}

TEST(sim, a_timeout_ends_at_its_deadline_to_the_nanosecond) {
    auto never = []() -> coro<> { co_await sleep(1h); };
    auto main = [&]() -> coro<std::chrono::nanoseconds> {
        const auto before = now();
        try {
            co_await timeout(90s, never());
        } catch (const tercet::timeout_error&) {
            co_return now() - before;
        }
        co_return 0ns;
    };
    EXPECT_EQ(sim::run(main()), 90s);
}

TEST(sim, the_clock_stands_still_while_anything_is_ready) {
    auto main = []() -> coro<std::chrono::nanoseconds> {
        const auto before = now();
        for (int i = 0; i < 100; ++i) co_await sleep(0s);
        co_return now() - before;
    };
    EXPECT_EQ(sim::run(main()), 0ns);
}

TEST(sim, code_that_waits_for_the_clock_without_sleeping_comes_to_an_end) {
    auto main = []() -> coro<> {
        const auto until = now() + 2ms;
        while (now() < until) co_await sleep(0s);
    };
    sim::run(main());
}

TEST(sim, code_that_blocks_until_the_clock_has_moved_comes_to_an_end) {
    auto main = []() -> coro<> {
        const auto until = now() + 2ms;
        while (now() < until) {
        }
        co_return;
    };
    sim::run(main());
}

TEST(sim, the_clock_does_not_jump_while_a_thread_owes_an_answer) {
    thread_executor pool;
    auto main = [&]() -> coro<std::string> {
        // Virtual hours would be over long before a thread has begun.
        auto answer = []() { return std::string("in time"); };
        auto call = run_in_executor(pool, answer);
        co_return co_await timeout(1h, std::move(call));
    };
    EXPECT_EQ(sim::run(main()), "in time");
}

TEST(sim, without_a_seed_what_is_ready_runs_in_order) { EXPECT_EQ(order_of(0), "abcdeabcdeabcdeabcde"); }

TEST(sim, the_same_seed_gives_the_same_order_and_others_give_others) {
    EXPECT_EQ(order_of(7), order_of(7));
    int different = 0;
    for (std::uint64_t seed = 1; seed <= 10; ++seed) different += order_of(seed) != order_of(seed + 1);
    EXPECT_GE(different, 9);
}

TEST(sim, whatever_the_seed_everybody_who_is_ready_runs_before_anybody_runs_twice) {
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
        const std::string order = order_of(seed);
        for (std::size_t round = 0; round < 4; ++round) {
            std::string names = order.substr(5 * round, 5);
            std::ranges::sort(names);
            EXPECT_EQ(names, "abcde") << order;
        }
    }
}

TEST(sim, client_and_server_meet_in_memory_and_see_each_others_addresses) {
    auto main = []() -> coro<> {
        std::string seen;
        auto handler = [&seen](stream_reader, stream_writer writer) -> coro<> {
            seen = writer.peer_address().to_string();
            co_return;
        };
        const server started = co_await start_server(handler, "shop", 80);
        EXPECT_EQ(started.port(), 80);
        connection opened = co_await open_connection("shop", 80);
        const std::string rest = co_await opened.reader.read();
        EXPECT_EQ(rest, "");
        EXPECT_EQ(seen, opened.writer.local_address().to_string());
        EXPECT_EQ(opened.writer.peer_address(), started.addresses().front());
    };
    sim::run(main());
}

TEST(sim, a_link_delays_every_message_by_its_delay) {
    auto main = []() -> coro<std::chrono::nanoseconds> {
        const sim::network network;
        const server started = co_await start_server(&echo, "far", 7);
        network.set_link("localhost", "far", {.delay = 50ms});
        const auto before = now();
        const std::string answer = co_await ask("far", "hello");
        EXPECT_EQ(answer, "hello");
        co_return now() - before;
    };
    EXPECT_EQ(sim::run(main()), 200ms);  // there and back, for the connection and for the question
}

TEST(sim, a_narrow_link_takes_its_time) {
    auto main = []() -> coro<std::chrono::nanoseconds> {
        const sim::network network;
        auto handler = [](stream_reader, stream_writer writer) -> coro<> {
            writer.write(std::string(100'000, 'x'));
            co_await writer.drain();
        };
        const server started = co_await start_server(handler, "far", 7);
        network.set_link("localhost", "far", {.bandwidth = 10'000});
        const auto before = now();
        connection opened = co_await open_connection("far", 7);
        const std::string all = co_await opened.reader.read();
        EXPECT_EQ(all.size(), 100'000U);
        co_return now() - before;
    };
    EXPECT_EQ(sim::run(main()), 10s);
}

TEST(sim, what_is_lost_comes_later_and_nothing_overtakes_it) {
    auto main = [](std::uint64_t& took) -> coro<> {
        const sim::network network;
        network.set_links({.delay = 1ms, .jitter = 5ms, .loss = 0.3});
        const server started = co_await start_server(&echo, "far", 7);
        connection opened = co_await open_connection("far", 7);
        std::string sent;
        const auto before = now();
        for (int i = 0; i < 100; ++i) {
            opened.writer.write(std::to_string(i));
            sent += std::to_string(i);
        }
        const std::string back = co_await opened.reader.read_exactly(sent.size());
        EXPECT_EQ(back, sent);
        took = static_cast<std::uint64_t>((now() - before).count());
    };
    std::array<std::uint64_t, 3> times{};
    sim::run(main(times[0]), {.seed = 1});
    sim::run(main(times[1]), {.seed = 1});
    sim::run(main(times[2]), {.seed = 2});
    EXPECT_GT(times[0], 200'000'000U);
    EXPECT_EQ(times[0], times[1]);
    EXPECT_NE(times[0], times[2]);
}

TEST(sim, a_partition_holds_data_back_until_it_heals) {
    auto main = []() -> coro<> {
        const sim::network network;
        const server started = co_await start_server(&echo, "far", 7);
        connection opened = co_await open_connection("far", 7);
        network.partition("localhost", "far");
        opened.writer.write("held");
        std::string early;
        try {
            early = co_await timeout(1h, opened.reader.read(10));
        } catch (const tercet::timeout_error&) {
            early = "nothing";
        }
        EXPECT_EQ(early, "nothing");
        network.heal("localhost", "far");
        const std::string late = co_await opened.reader.read(10);
        EXPECT_EQ(late, "held");
    };
    sim::run(main());
}

TEST(sim, connecting_across_a_partition_times_out_as_linux_does) {
    auto main = []() -> coro<std::chrono::nanoseconds> {
        const sim::network network;
        const server started = co_await start_server(&echo, "far", 7);
        network.partition("localhost", "far");
        const auto before = now();
        const int error = co_await error_of(open_connection("far", 7));
        EXPECT_EQ(error, ETIMEDOUT);
        co_return now() - before;
    };
    EXPECT_EQ(sim::run(main()), 127s);
}

TEST(sim, where_nobody_listens_connecting_is_refused_after_a_round_trip) {
    auto main = []() -> coro<std::chrono::nanoseconds> {
        const sim::network network;
        network.add_host("far");
        network.set_links({.delay = 10ms});
        const auto before = now();
        const int error = co_await error_of(open_connection("far", 7));
        EXPECT_EQ(error, ECONNREFUSED);
        co_return now() - before;
    };
    EXPECT_EQ(sim::run(main()), 20ms);
}

TEST(sim, a_name_that_nobody_mentioned_does_not_resolve) {
    auto main = []() -> coro<std::string> {
        try {
            co_await open_connection("nowhere", 7);
        } catch (const std::system_error& error) {
            co_return error.what();
        }
        co_return "";
    };
    EXPECT_THAT(sim::run(main()), HasSubstr("resolve nowhere: Name or service not known"));
}

TEST(sim, breaking_connections_resets_both_ends) {
    auto main = []() -> coro<> {
        const sim::network network;
        int error_of_server = 0;
        auto handler = [&](stream_reader reader, stream_writer) -> coro<> {
            error_of_server = co_await error_of(reader.read(1));
        };
        const server started = co_await start_server(handler, "far", 7);
        connection opened = co_await open_connection("far", 7);
        co_await sleep(1ms);
        EXPECT_EQ(network.reset_connections("localhost", "far"), 1U);
        const int error = co_await error_of(opened.reader.read(1));
        EXPECT_EQ(error, ECONNRESET);
        co_await sleep(1ms);
        EXPECT_EQ(error_of_server, ECONNRESET);
        EXPECT_EQ(network.reset_connections("localhost", "far"), 0U);
    };
    sim::run(main());
}

TEST(sim, a_half_closed_connection_still_carries_the_other_direction) {
    auto main = []() -> coro<> {
        auto handler = [](stream_reader reader, stream_writer writer) -> coro<> {
            const std::string all = co_await reader.read();
            writer.write(all + "!");
        };
        const server started = co_await start_server(handler, "far", 7);
        connection opened = co_await open_connection("far", 7);
        opened.writer.write("all of it");
        opened.writer.write_eof();
        const std::string answer = co_await opened.reader.read();
        EXPECT_EQ(answer, "all of it!");
    };
    sim::run(main());
}

TEST(sim, closing_with_bytes_that_nobody_read_resets_the_far_end) {
    auto main = []() -> coro<> {
        auto handler = [](stream_reader, stream_writer) -> coro<> { co_await sleep(1s); };
        const server started = co_await start_server(handler, "far", 7);
        connection opened = co_await open_connection("far", 7);
        opened.writer.write("ignored");
        const int error = co_await error_of(opened.reader.read(1));
        EXPECT_EQ(error, ECONNRESET);
    };
    sim::run(main());
}

TEST(sim, a_sender_waits_for_a_slow_reader) {
    auto main = []() -> coro<> {
        auto handler = [](stream_reader reader, stream_writer) -> coro<> {
            for (;;) {
                co_await sleep(1s);
                const std::string some = co_await reader.read(100'000);
                if (some.empty()) co_return;
            }
        };
        const server started = co_await start_server(handler, "far", 7);
        connection opened = co_await open_connection("far", 7);
        const auto before = now();
        opened.writer.write(std::string(2'000'000, 'x'));
        co_await opened.writer.drain();
        EXPECT_GT(now() - before, 3s);
    };
    sim::run(main());
}

TEST(sim, two_servers_cannot_have_one_port_unless_they_share_it) {
    auto main = []() -> coro<> {
        const server first = co_await start_server(&echo, "far", 7);
        const int error = co_await error_of(start_server(&echo, "far", 7));
        EXPECT_EQ(error, EADDRINUSE);
        const server elsewhere = co_await start_server(&echo, "near", 7);
        EXPECT_EQ(elsewhere.port(), 7);
    };
    sim::run(main());
}

TEST(sim, its_network_is_known_inside_it_only) {
    EXPECT_THROW(sim::network(), tercet::invalid_state_error);
    auto main = []() -> coro<> {
        EXPECT_THROW(sim::network(), tercet::invalid_state_error);
        co_return;
    };
    run(main(), {.backend = loop_backend::epoll});
}
