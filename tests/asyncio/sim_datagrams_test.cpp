#include <tercet/asyncio.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <string>
#include <system_error>
#include <vector>

using namespace std::chrono_literals;
using namespace tercet::asyncio;
using testing::ElementsAre;
using testing::HasSubstr;

namespace {

std::chrono::nanoseconds now() { return get_running_loop().time().time_since_epoch(); }

/// What arrives within a second of silence.
coro<std::vector<std::string>> receive_all(const datagram_socket& from) {
    std::vector<std::string> arrived;
    const auto next = [&from]() -> coro<datagram> { co_return co_await from.receive_from(); };
    try {
        for (;;) {
            datagram got = co_await timeout(1s, next());
            arrived.push_back(std::move(got.data));
        }
    } catch (const tercet::timeout_error&) {
    }
    co_return arrived;
}

coro<> send_numbers(const datagram_socket& to, int count) {
    for (int i = 0; i < count; ++i) {
        const std::string number = std::to_string(1000 + i);
        co_await to.send(number);
    }
}

/// Sends a thousand messages over a link of that kind.
std::vector<std::string> that_arrive(const sim::link& how, std::uint64_t seed) {
    std::vector<std::string> arrived;
    auto main = [&]() -> coro<> {
        const sim::network network;
        network.add_host("server.test");
        network.set_link("localhost", "server.test", how);
        const datagram_socket server = co_await bind_datagram("server.test", 53);
        const datagram_socket client = co_await connect_datagram("server.test", 53);
        co_await send_numbers(client, 1000);
        arrived = co_await receive_all(server);
    };
    sim::run(main(), {.seed = seed});
    return arrived;
}

}  // namespace

TEST(sim_datagrams, arrive_after_the_delay_of_the_link_and_know_their_sender) {
    auto main = []() -> coro<> {
        const sim::network network;
        network.add_host("server.test");
        network.set_link("localhost", "server.test", {.delay = 30ms});
        const datagram_socket server = co_await bind_datagram("server.test", 53);
        const datagram_socket client = co_await connect_datagram("server.test", 53);
        const auto begun = now();
        co_await client.send("question");
        const datagram asked = co_await server.receive_from();
        EXPECT_EQ(asked.data, "question");
        EXPECT_EQ(asked.from, client.local_address());
        EXPECT_EQ(now() - begun, 30ms);
        co_await server.send_to("answer", asked.from);
        const datagram answered = co_await client.receive_from();
        EXPECT_EQ(answered.data, "answer");
        EXPECT_EQ(answered.from, server.local_address());
        EXPECT_EQ(now() - begun, 60ms);
    };
    sim::run(main());
}

TEST(sim_datagrams, are_lost_as_often_as_the_link_has_it_and_not_sent_again) {
    const auto some = that_arrive({.loss = 0.25}, 1);
    EXPECT_GT(some.size(), 650U);
    EXPECT_LT(some.size(), 850U);
    EXPECT_TRUE(std::ranges::is_sorted(some)) << "without jitter nothing overtakes";
    EXPECT_EQ(that_arrive({.loss = 0.25}, 1), some);
    EXPECT_NE(that_arrive({.loss = 0.25}, 2), some);
    EXPECT_EQ(that_arrive({}, 1).size(), 1000U);
}

TEST(sim_datagrams, overtake_each_other_where_there_is_jitter) {
    auto arrived = that_arrive({.delay = 10ms, .jitter = 5ms}, 1);
    ASSERT_EQ(arrived.size(), 1000U);
    EXPECT_FALSE(std::ranges::is_sorted(arrived));
    std::ranges::sort(arrived);
    EXPECT_EQ(std::ranges::unique(arrived).size(), 0U);
}

TEST(sim_datagrams, are_lost_while_the_network_is_cut) {
    auto main = []() -> coro<> {
        const sim::network network;
        network.add_host("server.test");
        network.set_link("localhost", "server.test", {.delay = 10ms});
        const datagram_socket server = co_await bind_datagram("server.test", 53);
        const datagram_socket client = co_await connect_datagram("server.test", 53);
        co_await client.send("under way");
        network.partition("localhost", "server.test");
        co_await client.send("cut");
        const std::vector<std::string> none = co_await receive_all(server);
        EXPECT_TRUE(none.empty());
        network.heal("localhost", "server.test");
        co_await client.send("whole again");
        const std::vector<std::string> arrived = co_await receive_all(server);
        EXPECT_THAT(arrived, ElementsAre("whole again"));
    };
    sim::run(main());
}

TEST(sim_datagrams, take_the_time_that_the_bandwidth_of_the_link_gives_them) {
    auto main = []() -> coro<> {
        const sim::network network;
        network.add_host("server.test");
        network.set_link("localhost", "server.test", {.bandwidth = 1000});
        const datagram_socket server = co_await bind_datagram("server.test", 53);
        const datagram_socket client = co_await connect_datagram("server.test", 53);
        const auto begun = now();
        const std::string data(500, 'x');
        for (int i = 0; i < 4; ++i) co_await client.send(data);
        for (int i = 1; i <= 4; ++i) {
            co_await server.receive_from();
            EXPECT_EQ(now() - begun, i * 500ms);
        }
    };
    sim::run(main());
}

TEST(sim_datagrams, the_news_that_nobody_receives_is_lost_while_the_network_is_cut) {
    auto main = []() -> coro<> {
        const sim::network network;
        network.add_host("server.test");
        network.set_link("localhost", "server.test", {.delay = 1s});
        const datagram_socket client = co_await connect_datagram("server.test", 53);
        co_await client.send("anybody?");
        co_await sleep(1500ms);  // the news is on its way back
        network.partition("localhost", "server.test");
        co_await sleep(100s);
        network.heal("localhost", "server.test");
        co_await sleep(10s);
        co_await client.send("once more");
        co_await sleep(10s);
        bool was_told = false;
        try {
            co_await client.send("and again");
        } catch (const std::system_error&) {
            was_told = true;
        }
        EXPECT_TRUE(was_told);
    };
    sim::run(main());
}

TEST(sim_datagrams, a_receiver_without_room_drops_them) {
    auto main = []() -> coro<> {
        const datagram_socket server = co_await bind_datagram("127.0.0.1", 0, {.receive_buffer = 5'000});
        const datagram_socket client = co_await connect_datagram("127.0.0.1", server.local_address().port());
        const std::string kilobyte(1'000, 'x');
        for (int i = 0; i < 100; ++i) co_await client.send(kilobyte);
        co_await sleep(1ms);
        const std::vector<std::string> arrived = co_await receive_all(server);
        EXPECT_EQ(arrived.size(), 10U) << "twice of what was asked for, as Linux has it";
    };
    sim::run(main());
}

TEST(sim_datagrams, go_to_the_socket_that_is_connected_to_their_sender) {
    auto main = []() -> coro<> {
        const datagram_socket first = co_await bind_datagram("127.0.0.1", 0);
        const datagram_socket second = co_await bind_datagram("127.0.0.1", 0);
        const datagram_socket open =
            open_datagram(*socket_address::from_numeric("127.0.0.1", 9), {}, {.reuse_port = true});
        const datagram_socket connected =
            open_datagram(open.local_address(), first.local_address(), {.reuse_port = true});
        co_await first.send_to("of the peer", open.local_address());
        co_await second.send_to("of another", open.local_address());
        const datagram of_peer = co_await connected.receive_from();
        EXPECT_EQ(of_peer.data, "of the peer");
        const datagram of_another = co_await open.receive_from();
        EXPECT_EQ(of_another.data, "of another");
    };
    sim::run(main());
}

TEST(sim_datagrams, a_port_is_taken_once_unless_it_is_shared_and_free_again_after_the_end) {
    auto main = []() -> coro<> {
        const auto at = *socket_address::from_numeric("127.0.0.1", 9);
        {
            const datagram_socket first = open_datagram(at, {});
            EXPECT_THROW(open_datagram(at, {}), std::system_error);
            auto nothing = [](stream_reader, stream_writer) -> coro<> { co_return; };
            const server of_streams = co_await start_server(nothing, "127.0.0.1", 9);
        }
        const datagram_socket again = open_datagram(at, {});
        EXPECT_TRUE(again.is_open());
    };
    sim::run(main());
}

TEST(sim_datagrams, of_one_seed_arrive_in_one_order) {
    const sim::link link{.delay = 10ms, .jitter = 50ms, .loss = 0.1};
    EXPECT_EQ(that_arrive(link, 7), that_arrive(link, 7));
    EXPECT_NE(that_arrive(link, 7), that_arrive(link, 8));
}
