#include <tercet/asyncio.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

using namespace std::chrono_literals;
using namespace tercet::asyncio;
using tercet::cancelled_error;
using testing::ElementsAre;

namespace {

coro<> send_one(memory_send_channel<int>& sender, int item) { co_await sender.send(item); }

coro<> receive_all(memory_receive_channel<int>& receiver, std::vector<int>& into) {
    while (auto item = co_await receiver.next()) into.push_back(*item);
}

/// Has `work` fail with `Error`?
template <class Error, class T>
coro<bool> fails_with(task<T> work) {
    try {
        co_await work;
    } catch (const Error&) {
        co_return true;
    }
    co_return false;
}

/// `work`, when it waits.
coro<task<>> waiting(coro<> work) {
    task<> begun = create_task(std::move(work), {.eager_start = true});
    EXPECT_FALSE(begun.done());
    co_return begun;
}

}  // namespace

TEST(memory_channel, carries_items_in_order_and_ends_when_the_sender_closes) {
    for (const std::size_t room : {std::size_t{0}, std::size_t{1}, std::size_t{100}, memory_channel<int>::unbounded}) {
        auto main = [room]() -> coro<> {
            auto [sender, receiver] = open_memory_channel<int>(room);
            std::vector<int> got;
            task<> receiving = create_task(receive_all(receiver, got));
            for (int i = 0; i < 10; ++i) co_await sender.send(i);
            sender.close();
            co_await receiving;
            EXPECT_THAT(got, ElementsAre(0, 1, 2, 3, 4, 5, 6, 7, 8, 9));
        };
        run(main());
    }
}

TEST(memory_channel, without_a_buffer_a_send_lasts_until_its_item_is_taken) {
    auto main = []() -> coro<> {
        auto [sender, receiver] = open_memory_channel<int>();
        EXPECT_THROW(sender.send_nowait(0), would_block);
        EXPECT_THROW(receiver.receive_nowait(), would_block);
        task<> sending = co_await waiting(send_one(sender, 7));
        EXPECT_EQ(receiver.receive_nowait(), 7);
        co_await sending;
    };
    run(main());
}

TEST(memory_channel, a_full_buffer_makes_senders_wait_and_lets_them_in_in_order) {
    auto main = []() -> coro<> {
        auto [sender, receiver] = open_memory_channel<int>(1);
        sender.send_nowait(1);
        EXPECT_THROW(sender.send_nowait(9), would_block);
        task<> second = co_await waiting(send_one(sender, 2));
        task<> third = co_await waiting(send_one(sender, 3));
        EXPECT_EQ(receiver.receive_nowait(), 1);
        EXPECT_THROW(sender.send_nowait(9), would_block) << "the slot belongs to who has waited";
        EXPECT_EQ(receiver.receive_nowait(), 2);
        EXPECT_EQ(receiver.receive_nowait(), 3);
        co_await second;
        co_await third;
        EXPECT_EQ(receiver.size(), 0U);
    };
    run(main());
}

TEST(memory_channel, an_item_for_a_receiver_that_waits_cannot_be_taken_by_a_third) {
    auto main = []() -> coro<> {
        auto [sender, receiver] = open_memory_channel<int>(5);
        int got = 0;
        auto receive = [&]() -> coro<> { got = co_await receiver.receive(); };
        task<> first = co_await waiting(receive());
        sender.send_nowait(1);
        EXPECT_THROW(receiver.receive_nowait(), would_block);
        co_await first;
        EXPECT_EQ(got, 1);
    };
    run(main());
}

TEST(memory_channel, a_receiver_whose_cancellation_is_pending_gets_no_item_and_the_next_one_does) {
    auto main = []() -> coro<> {
        auto [sender, receiver] = open_memory_channel<int>();
        std::vector<int> got;
        auto receive = [&](int number) -> coro<> {
            const int item = co_await receiver.receive();
            got.push_back(10 * number + item);
        };
        task<> first = co_await waiting(receive(1));
        task<> second = co_await waiting(receive(2));
        first.cancel();
        sender.send_nowait(5);
        co_await second;
        EXPECT_TRUE(first.cancelled());
        EXPECT_THAT(got, ElementsAre(25));
    };
    run(main());
}

TEST(memory_channel, receivers_end_when_the_last_sender_closes_after_everything_was_taken) {
    auto main = []() -> coro<> {
        auto [sender, receiver] = open_memory_channel<int>(5);
        auto second = sender.clone();
        sender.send_nowait(1);
        sender.close();
        second.send_nowait(2);
        std::vector<int> got;
        task<> receiving = co_await waiting(receive_all(receiver, got));
        EXPECT_THAT(got, ElementsAre(1, 2));
        auto third = second.clone();
        second.close();
        EXPECT_FALSE(receiving.done());
        { const auto goes = std::move(third); }
        co_await receiving;
        EXPECT_THROW(receiver.receive_nowait(), end_of_channel);
    };
    run(main());
}

TEST(memory_channel, senders_are_broken_when_the_last_receiver_closes) {
    auto main = []() -> coro<> {
        auto [sender, receiver] = open_memory_channel<int>(1);
        auto second = receiver.clone();
        sender.send_nowait(1);
        task<> sending = co_await waiting(send_one(sender, 2));
        receiver.close();
        EXPECT_FALSE(sending.done());
        second.close();
        const bool is_broken = co_await fails_with<broken_resource_error>(sending);
        EXPECT_TRUE(is_broken);
        EXPECT_THROW(sender.send_nowait(3), broken_resource_error);
    };
    run(main());
}

TEST(memory_channel, closing_an_end_ends_the_waits_at_that_end_alone) {
    auto main = []() -> coro<> {
        auto [sender, receiver] = open_memory_channel<int>();
        auto other_receiver = receiver.clone();
        auto receive = [](memory_receive_channel<int>& from) -> coro<> { co_await from.receive(); };
        task<> one = co_await waiting(receive(receiver));
        task<> other = co_await waiting(receive(other_receiver));
        receiver.close();
        const bool is_closed = co_await fails_with<closed_resource_error>(one);
        EXPECT_TRUE(is_closed);
        EXPECT_FALSE(other.done());
        sender.send_nowait(1);
        co_await other;

        auto other_sender = sender.clone();
        task<> first = co_await waiting(send_one(sender, 1));
        task<> second = co_await waiting(send_one(other_sender, 2));
        task<> third = co_await waiting(send_one(sender, 3));
        sender.close();
        const bool is_first_closed = co_await fails_with<closed_resource_error>(first);
        const bool is_third_closed = co_await fails_with<closed_resource_error>(third);
        EXPECT_TRUE(is_first_closed);
        EXPECT_TRUE(is_third_closed);
        EXPECT_EQ(other_receiver.receive_nowait(), 2);
        co_await second;
    };
    run(main());
}

TEST(memory_channel, a_closed_end_is_an_error_and_closing_it_again_is_none) {
    auto main = []() -> coro<> {
        auto [sender, receiver] = open_memory_channel<int>(1);
        sender.close();
        sender.close();
        receiver.close();
        receiver.close();
        EXPECT_TRUE(sender.is_closed());
        EXPECT_TRUE(receiver.is_closed());
        EXPECT_THROW(sender.send_nowait(1), closed_resource_error);
        EXPECT_THROW(receiver.receive_nowait(), closed_resource_error);
        EXPECT_THROW(sender.clone(), closed_resource_error);
        EXPECT_THROW(receiver.clone(), closed_resource_error);
        const bool is_send_refused = co_await fails_with<closed_resource_error>(create_task(send_one(sender, 1)));
        EXPECT_TRUE(is_send_refused);
        std::vector<int> got;
        const bool is_next_refused =
            co_await fails_with<closed_resource_error>(create_task(receive_all(receiver, got)));
        EXPECT_TRUE(is_next_refused);
    };
    run(main());
}

TEST(memory_channel, what_nobody_took_is_destroyed_with_the_last_receiver) {
    auto main = []() -> coro<> {
        const auto item = std::make_shared<int>(1);
        auto [sender, receiver] = open_memory_channel<std::shared_ptr<int>>(2);
        sender.send_nowait(item);
        sender.send_nowait(item);
        EXPECT_EQ(item.use_count(), 3);
        const auto taken = receiver.receive_nowait();
        EXPECT_EQ(item.use_count(), 3);
        receiver.close();
        EXPECT_EQ(item.use_count(), 2);
        co_return;
    };
    run(main());
}

TEST(memory_channel, a_refused_item_stays_with_who_sends) {
    auto main = []() -> coro<> {
        auto [sender, receiver] = open_memory_channel<std::unique_ptr<int>>(1);
        sender.send_nowait(std::make_unique<int>(1));
        auto second = std::make_unique<int>(2);
        EXPECT_THROW(sender.send_nowait(std::move(second)), would_block);
        EXPECT_NE(second, nullptr);
        receiver.close();
        EXPECT_THROW(sender.send_nowait(std::move(second)), broken_resource_error);
        EXPECT_NE(second, nullptr);
        co_return;
    };
    run(main());
}

TEST(memory_channel, cancellations_at_random_lose_nothing_and_double_nothing) {
    for (const std::size_t room : {0U, 2U}) {
        auto main = [room]() -> coro<> {
            auto [sender, receiver] = open_memory_channel<int>(room);
            std::vector<int> seen(1000);
            auto receive = [&]() -> coro<> {
                while (auto item = co_await receiver.next()) {
                    ++seen[static_cast<std::size_t>(*item)];
                    co_await sleep(0s);
                }
            };
            auto feed = [&]() -> coro<> {
                for (int i = 0; i < 1000; ++i) co_await sender.send(i);
                sender.close();
            };
            std::vector<task<>> readers;
            for (int i = 0; i < 100; ++i) readers.push_back(create_task(receive()));
            task<> feeder = create_task(feed());
            for (std::size_t i = 0; i + 1 < readers.size(); ++i) {
                for (std::size_t turns = i % 3; turns > 0; --turns) co_await sleep(0s);
                readers[i * 37 % 99].cancel();
            }
            co_await feeder;
            co_await readers.back();
            EXPECT_THAT(seen, testing::Each(1));
        };
        for (std::uint64_t seed = 0; seed < 20; ++seed) run(main(), {.seed = seed});
    }
}
