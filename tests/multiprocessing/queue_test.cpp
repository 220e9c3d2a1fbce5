#include <tercet/futures/errors.hpp>
#include <tercet/multiprocessing/joinable_queue.hpp>
#include <tercet/multiprocessing/pipe.hpp>
#include <tercet/multiprocessing/process.hpp>
#include <tercet/multiprocessing/process_pool_executor.hpp>
#include <tercet/multiprocessing/queue.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <csignal>
#include <latch>
#include <map>
#include <string>
#include <thread>
#include <tuple>
#include <vector>

#include "multiprocessing/message_log.hpp"
#include "process_probe.hpp"

namespace tercet::multiprocessing {
namespace {

using namespace std::chrono_literals;

TEST(queue, items_come_out_in_the_order_in_which_they_went_in) {
    auto items = queue<std::string>::unbounded();
    EXPECT_TRUE(items.empty());
    for (int i = 0; i < 1'000; ++i) items.put(std::to_string(i));
    EXPECT_EQ(items.qsize(), 1'000U);
    for (int i = 0; i < 1'000; ++i) EXPECT_EQ(items.get(), std::to_string(i));
    EXPECT_TRUE(items.empty());
}

TEST(queue, items_of_every_size_stay_whole) {
    auto items = queue<std::string>::unbounded();
    const std::vector<std::size_t> sizes{0, 1, 4'079, 4'080, 4'081, 4'096, 65'536, 1U << 20U, (3U << 20U) + 1, 0, 7};
    for (int round = 0; round < 5; ++round) {
        for (const auto size : sizes) items.put(std::string(size, static_cast<char>('a' + round)));
        for (const auto size : sizes) EXPECT_EQ(items.get(), std::string(size, static_cast<char>('a' + round)));
    }
}

TEST(queue, waits_no_longer_than_it_may) {
    queue<int> items(2);
    const auto start = std::chrono::steady_clock::now();
    EXPECT_THROW(items.get(30ms), queue_empty);
    EXPECT_GE(std::chrono::steady_clock::now() - start, 30ms);
    EXPECT_LT(std::chrono::steady_clock::now() - start, 10s);
    EXPECT_THROW(items.get_nowait(), queue_empty);
    items.put(1);
    items.put(2);
    EXPECT_TRUE(items.full());
    EXPECT_THROW(items.put_nowait(3), queue_full);
    EXPECT_THROW(items.put(3, 5ms), queue_full);
    EXPECT_EQ(items.get(), 1);
    items.put_nowait(3);
    EXPECT_EQ(items.maxsize(), 2U);
    EXPECT_THROW(queue<int>(0), std::invalid_argument);
}

TEST(queue, a_closed_handle_throws_and_others_go_on) {
    auto items = joinable_queue<int>::unbounded();
    items.put(1);
    auto [a, b] = pipe();
    a.send(items);
    auto other = b.recv<joinable_queue<int>>();
    items.close();
    EXPECT_THROW(items.put(1), invalid_state_error);
    EXPECT_THROW(items.get(), invalid_state_error);
    EXPECT_THROW(items.empty(), invalid_state_error);
    EXPECT_THROW(items.qsize(), invalid_state_error);
    EXPECT_THROW(items.task_done(), invalid_state_error);
    EXPECT_THROW(items.join(), invalid_state_error);
    EXPECT_THROW(a.send(items), invalid_state_error);
    EXPECT_EQ(other.get(), 1);
    EXPECT_THROW(queue<int>().get(), invalid_state_error);
}

TEST(queue, closing_ends_the_waits_of_its_handle) {
    auto items = queue<int>::unbounded();
    std::latch begun(1);
    std::jthread waiter([&] {
        begun.count_down();
        EXPECT_THROW(items.get(), invalid_state_error);
    });
    begun.wait();
    items.close();
}

TEST(queue, a_child_may_be_joined_before_its_results_are_taken) {
    auto results = queue<std::string>::unbounded();
    process child(
        [](queue<std::string> out) {
            for (int i = 0; i < 64; ++i) out.put(std::string(64U << 10U, static_cast<char>('a' + i % 26)));
        },
        results);
    child.start();
    ASSERT_TRUE(child.join(30s));
    EXPECT_EQ(child.exitcode(), 0);
    for (int i = 0; i < 64; ++i)
        EXPECT_EQ(results.get_nowait(), std::string(64U << 10U, static_cast<char>('a' + i % 26)));
}

TEST(queue, many_producers_and_consumers_lose_and_double_nothing) {
    constexpr int items_each = 500;
    queue<int> numbers(7);
    auto sums = queue<std::pair<int, long>>::unbounded();
    std::vector<process> processes;
    for (int i = 0; i < 3; ++i) {
        processes.emplace_back(
            [](queue<int> out, int first) {
                for (int n = 0; n < items_each; ++n) out.put(first + n);
            },
            numbers, i * items_each);
        processes.emplace_back(
            [](queue<int> in, queue<std::pair<int, long>> out) {
                int count = 0;
                long sum = 0;
                for (int n = in.get(); n >= 0; n = in.get()) {
                    ++count;
                    sum += n;
                }
                out.put({count, sum});
            },
            numbers, sums);
    }
    for (auto& each : processes) each.start();
    for (std::size_t i = 0; i < processes.size(); i += 2) processes[i].join();
    for (int i = 0; i < 3; ++i) numbers.put(-1);
    int count = 0;
    long sum = 0;
    for (int i = 0; i < 3; ++i) {
        const auto [counted, summed] = sums.get(30s);
        count += counted;
        sum += summed;
    }
    EXPECT_EQ(count, 3 * items_each);
    EXPECT_EQ(sum, 3L * items_each * (3L * items_each - 1) / 2);
}

/// Dies in the middle of an operation on the queue.
template <class Queue>
void die_at(Queue items, int step) {
    message_log::at_step = [step](message_log::step at) {
        if (static_cast<int>(at) == step) ::kill(::getpid(), SIGKILL);
    };
    if (step < static_cast<int>(message_log::step::get_before))
        items.put(2);
    else
        items.get();
}

TEST(queue, a_process_killed_in_the_middle_leaves_it_whole) {
    using enum message_log::step;
    const std::map<message_log::step, std::vector<int>> left{
        {put_before, {1}}, {put_after, {1, 2}}, {get_before, {1}}, {get_after, {}}};
    for (const auto& [step, expected] : left) {
        auto items = joinable_queue<int>::unbounded();
        items.put(1);
        process child(die_at<joinable_queue<int>>, items, static_cast<int>(step));
        child.start();
        ASSERT_TRUE(child.join(30s));
        EXPECT_EQ(child.exitcode(), -SIGKILL);
        EXPECT_EQ(items.qsize(), expected.size()) << static_cast<int>(step);
        for (const int each : expected) EXPECT_EQ(items.get_nowait(), each);
        EXPECT_TRUE(items.empty());
        items.put(3);
        EXPECT_EQ(items.get_nowait(), 3);
        // The count of what is to be dealt with is right, too.
        const std::size_t put = step == put_after ? 3 : 2;
        for (std::size_t i = 0; i < put; ++i) items.task_done();
        EXPECT_TRUE(items.join(0s));
    }
}

TEST(queue, who_waits_gets_the_item_of_a_process_that_was_killed_while_putting_it) {
    auto items = queue<int>::unbounded();
    process child(die_at<queue<int>>, items, static_cast<int>(message_log::step::put_after));
    std::jthread waiter([&] { EXPECT_EQ(items.get(30s), 2); });
    child.start();
    child.join();
}

/// Stops in the middle of putting an item.
void stop_in_put(queue<int> items) {
    message_log::at_step = [](message_log::step at) {
        if (at == message_log::step::put_before) ::raise(SIGSTOP);
    };
    items.put(5);
}

TEST(queue, a_process_that_is_stopped_in_a_call_holds_nobody_up_for_longer_than_a_second) {
    auto items = queue<int>::unbounded();
    process child(stop_in_put, items);
    child.start();
    wait_until_state(*child.pid(), 'T');
    const auto begin = std::chrono::steady_clock::now();
    EXPECT_THROW(items.get_nowait(), queue_empty);
    EXPECT_THROW(items.put(6, 10ms), queue_full);
    EXPECT_LT(std::chrono::steady_clock::now() - begin, 10s);
    ::kill(*child.pid(), SIGCONT);
    EXPECT_EQ(items.get(30s), 5);
    EXPECT_TRUE(child.join(30s));
}

TEST(queue, random_kills_neither_wedge_it_nor_spoil_items) {
    auto items = queue<std::vector<int>>::unbounded();
    for (int round = 0; round < 30; ++round) {
        process producer(
            [](queue<std::vector<int>> out) {
                for (int i = 0;; ++i) out.put(std::vector<int>(static_cast<std::size_t>(i % 2'000), i));
            },
            items);
        process consumer(
            [](queue<std::vector<int>> in) {
                for (;;) in.get();
            },
            items);
        producer.start();
        consumer.start();
        for (int i = 0; i < 1 + round % 7 * 20; ++i) {
            const auto item = items.get(30s);
            for (const int each : item) ASSERT_EQ(each % 2'000, static_cast<int>(item.size()));
        }
        consumer.kill();
        producer.kill();
        ASSERT_TRUE(consumer.join(30s));
        ASSERT_TRUE(producer.join(30s));
        for (std::size_t left = items.qsize(); left > 0; --left) {
            const auto item = items.get_nowait();
            for (const int each : item) ASSERT_EQ(each % 2'000, static_cast<int>(item.size()));
        }
        ASSERT_TRUE(items.empty());
    }
}

TEST(queue, travels_to_workers_of_a_pool) {
    auto items = queue<int>::unbounded();
    process_pool_executor pool(1);
    pool.submit([](queue<int> out) { out.put(5); }, items).result();
    EXPECT_EQ(items.get_nowait(), 5);
}

TEST(queue, refuses_items_with_file_descriptors_and_handles_of_another_type) {
    auto lines = queue<connection>::unbounded();
    auto [a, b] = pipe();
    EXPECT_THROW(lines.put(a), std::invalid_argument);
    EXPECT_TRUE(lines.empty());
    encoder out;
    auto numbers = queue<int>::unbounded();
    encode(out, numbers);
    auto descriptors = out.take_descriptors();
    decoder in(out.buffer().bytes(), descriptors);
    EXPECT_THROW(decode<queue<double>>(in), decode_error);
}

TEST(queue, leaves_no_descriptors_behind) {
    const auto before = open_fds();
    for (int i = 0; i < 10; ++i) queue<int>::unbounded().put(i);
    EXPECT_EQ(open_fds(), before);
}

}  // namespace
}  // namespace tercet::multiprocessing
