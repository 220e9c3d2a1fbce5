// What the objects of a manager do, seen from one process and several threads.

#include <tercet/futures/errors.hpp>
#include <tercet/multiprocessing/lock.hpp>
#include <tercet/multiprocessing/manager.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <future>
#include <map>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "multiprocessing/served_client.hpp"
#include "process_probe.hpp"

namespace tercet::multiprocessing {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::Pair;
using testing::UnorderedElementsAre;

template <class Fn>
auto in_thread(Fn fn) {
    return std::async(std::launch::async, std::move(fn));
}

/// Returns when a condition is true that calls of others bring about.
template <class Predicate>
void until(Predicate predicate) {
    while (!predicate()) std::this_thread::yield();
}

struct ranked {
    int rank = 0;
    int number = 0;
    friend bool operator<(const ranked& a, const ranked& b) { return a.rank < b.rank; }
    friend bool operator==(const ranked&, const ranked&) = default;
};

class managed : public testing::Test {
protected:
    manager m;
};

TEST_F(managed, list_does_what_pythons_does) {
    const list_proxy<std::string> names = m.list<std::string>({"b", "a"});
    names.append("c");
    names.extend({"d", "a"});
    names.insert(1, "x");
    names.insert(99, "end");
    EXPECT_THAT(names.values(), ElementsAre("b", "x", "a", "c", "d", "a", "end"));
    EXPECT_EQ(names.pop(), "end");
    EXPECT_EQ(names.pop(1), "x");
    names.remove("a");
    EXPECT_THAT(names.values(), ElementsAre("b", "c", "d", "a"));
    names.set(0, "z");
    EXPECT_EQ(names.get(0), "z");
    EXPECT_EQ(names[3], "a");
    names.sort();
    EXPECT_THAT(names.values(), ElementsAre("a", "c", "d", "z"));
    names.reverse();
    EXPECT_EQ(names.index("d"), 1U);
    EXPECT_EQ(names.count("z"), 1U);
    EXPECT_TRUE(names.contains("c"));
    EXPECT_FALSE(names.contains("q"));
    EXPECT_EQ(names.size(), 4U);
    names.clear();
    EXPECT_TRUE(names.empty());
    EXPECT_THROW(names.get(0), std::out_of_range);
    EXPECT_THROW(names.set(0, "a"), std::out_of_range);
    EXPECT_THROW(names.pop(), std::out_of_range);
    EXPECT_THROW(names.remove("a"), std::invalid_argument);
    EXPECT_THROW(names.index("a"), std::invalid_argument);
    const list_proxy<bool> flags = m.list<bool>(3, true);
    flags.set(1, false);
    EXPECT_TRUE(flags.get(0));
    EXPECT_THAT(flags.values(), ElementsAre(true, false, true));
}

TEST_F(managed, list_keeps_the_order_of_equal_items_when_it_is_sorted) {
    const list_proxy<ranked> all = m.list<ranked>({{2, 0}, {1, 1}, {2, 2}, {1, 3}, {0, 4}});
    all.sort();
    EXPECT_THAT(all.values(), ElementsAre(ranked{0, 4}, ranked{1, 1}, ranked{1, 3}, ranked{2, 0}, ranked{2, 2}));
}

TEST_F(managed, list_changes_in_one_go) {
    const auto numbers = m.list<int>({1, 2, 3});
    std::vector<std::future<void>> threads;
    for (int i = 0; i < 4; ++i)
        threads.push_back(in_thread([&] {
            for (int k = 0; k < 250; ++k)
                numbers.apply([](std::vector<int>& all, std::size_t at) { ++all[at]; }, std::size_t{1});
        }));
    for (auto& each : threads) each.get();
    EXPECT_EQ(numbers.get(1), 1'002);
}

TEST_F(managed, dict_does_what_pythons_does) {
    const auto ages = m.dict<std::string, int>({{"Ada", 36}});
    ages.set("Alan", 41);
    ages.update({{"Grace", 85}, {"Ada", 37}});
    EXPECT_EQ(ages.get("Ada"), 37);
    EXPECT_EQ(ages["Alan"], 41);
    EXPECT_EQ(ages.get("Kurt", -1), -1);
    EXPECT_THROW(ages.get("Kurt"), std::out_of_range);
    EXPECT_EQ(ages.setdefault("Kurt", 71), 71);
    EXPECT_EQ(ages.setdefault("Kurt", 1), 71);
    EXPECT_THAT(ages.keys(), ElementsAre("Ada", "Alan", "Grace", "Kurt"));
    EXPECT_THAT(ages.values(), ElementsAre(37, 41, 85, 71));
    EXPECT_EQ(ages.pop("Kurt"), 71);
    EXPECT_THROW(ages.pop("Kurt"), std::out_of_range);
    EXPECT_TRUE(ages.erase("Grace"));
    EXPECT_FALSE(ages.erase("Grace"));
    EXPECT_TRUE(ages.contains("Ada"));
    EXPECT_THAT(ages.items(), ElementsAre(Pair("Ada", 37), Pair("Alan", 41)));
    EXPECT_EQ(ages.size(), 2U);
    ages.apply([](std::map<std::string, int>& all, const std::string& who) { ++all[who]; }, "Ada");
    EXPECT_EQ(ages.get("Ada"), 38);
    ages.clear();
    EXPECT_TRUE(ages.empty());
}

TEST_F(managed, namespace_has_attributes_of_any_types) {
    const auto shared = m.namespace_();
    shared.set("title", "Report");
    shared.set("pages", 12);
    shared.set("door", multiprocessing::lock());  // with a file descriptor
    EXPECT_EQ(shared.get<std::string>("title"), "Report");
    EXPECT_EQ(shared.get<int>("pages"), 12);
    const auto door = shared.get<multiprocessing::lock>("door");
    door.acquire();
    EXPECT_TRUE(shared.get<multiprocessing::lock>("door").locked());
    door.release();
    EXPECT_THROW(shared.get<double>("pages"), decode_error);
    EXPECT_THROW(shared.get<int>("nothing"), std::out_of_range);
    EXPECT_THAT(shared.names(), ElementsAre("door", "pages", "title"));
    EXPECT_TRUE(shared.erase("door"));
    EXPECT_FALSE(shared.contains("door"));
}

TEST_F(managed, value_is_read_written_and_updated) {
    const auto total = m.value<int>(40);
    total.update([](int& n, int more) { n += more; }, 2);
    EXPECT_EQ(total.get(), 42);
    total.set(7);
    EXPECT_EQ(total.update([](const int& n) { return n * 2; }), 14);
    const auto words = m.value(std::vector<std::string>{"a"});
    words.update([](std::vector<std::string>& all) { all.emplace_back("b"); });
    EXPECT_THAT(words.get(), ElementsAre("a", "b"));
}

TEST_F(managed, queue_waits_for_room_and_for_items) {
    const auto jobs = m.queue<std::string>(2);
    EXPECT_EQ(jobs.maxsize(), 2U);
    EXPECT_THROW(jobs.get_nowait(), queue_empty);
    EXPECT_THROW(jobs.get(1ms), queue_empty);
    jobs.put("one");
    jobs.put("two");
    EXPECT_TRUE(jobs.full());
    EXPECT_THROW(jobs.put_nowait("three"), queue_full);
    EXPECT_THROW(jobs.put("three", 1ms), queue_full);
    auto third = in_thread([&] { jobs.put("three"); });
    EXPECT_EQ(jobs.get(), "one");
    third.get();
    EXPECT_EQ(jobs.get(), "two");
    EXPECT_EQ(jobs.get(), "three");
    EXPECT_TRUE(jobs.empty());
    auto next = in_thread([&] { return jobs.get(); });
    jobs.put("four");
    EXPECT_EQ(next.get(), "four");
    EXPECT_THROW(m.queue<int>(0), std::invalid_argument);
    const auto many = m.unbounded_queue<int>();
    for (int i = 0; i < 1'000; ++i) many.put(i);
    EXPECT_EQ(many.qsize(), 1'000U);
}

TEST_F(managed, queue_is_joined_when_all_items_are_done) {
    const auto jobs = m.queue<int>(10);
    jobs.put(1);
    jobs.put(2);
    EXPECT_FALSE(jobs.join(1ms));
    auto joined = in_thread([&] { return jobs.join(); });
    jobs.task_done();
    jobs.task_done();
    EXPECT_TRUE(joined.get());
    EXPECT_THROW(jobs.task_done(), std::invalid_argument);
}

TEST_F(managed, lock_belongs_to_the_thread_that_took_it) {
    const auto door = m.lock();
    EXPECT_TRUE(door.acquire());
    EXPECT_TRUE(door.locked());
    EXPECT_TRUE(door.is_owned());
    EXPECT_THROW(door.acquire(), invalid_state_error);
    EXPECT_FALSE(door.try_lock());
    in_thread([&] {
        EXPECT_FALSE(door.is_owned());
        EXPECT_FALSE(door.acquire(1ms));
        EXPECT_FALSE(door.try_lock());
        EXPECT_THROW(door.release(), invalid_state_error);
    }).get();
    auto other = in_thread([&] {
        const std::lock_guard inside(door);
        return door.owner_died();
    });
    door.release();
    EXPECT_FALSE(other.get());
    EXPECT_THROW(door.release(), invalid_state_error);
    EXPECT_FALSE(door.locked());
}

TEST_F(managed, rlock_is_given_back_as_often_as_it_was_taken) {
    const auto door = m.rlock();
    EXPECT_TRUE(door.acquire());
    EXPECT_TRUE(door.acquire());
    EXPECT_TRUE(door.try_lock());
    EXPECT_EQ(door.recursion_count(), 3U);
    door.release();
    door.release();
    EXPECT_FALSE(in_thread([&] { return door.try_lock(); }).get());
    door.release();
    EXPECT_FALSE(door.locked());
}

TEST_F(managed, lock_of_a_thread_that_has_ended_is_free_and_says_so) {
    const auto door = m.lock();
    std::thread([&] { door.acquire(); }).join();
    EXPECT_TRUE(door.acquire(20s));
    EXPECT_TRUE(door.owner_died());
    door.release();
    door.acquire();
    EXPECT_FALSE(door.owner_died());
    door.release();
}

TEST_F(managed, lock_keeps_others_out) {
    const auto door = m.lock();
    int inside = 0;
    std::vector<std::future<void>> threads;
    for (int i = 0; i < 6; ++i)
        threads.push_back(in_thread([&] {
            for (int k = 0; k < 100; ++k) {
                const std::lock_guard guard(door);
                ++inside;
            }
        }));
    for (auto& each : threads) each.get();
    EXPECT_EQ(inside, 600);
}

TEST_F(managed, semaphore_counts_permits) {
    const auto permits = m.semaphore(2);
    EXPECT_TRUE(permits.acquire());
    EXPECT_TRUE(permits.try_lock());
    EXPECT_FALSE(permits.acquire(1ms));
    auto third = in_thread([&] { return permits.acquire(); });
    permits.release();
    EXPECT_TRUE(third.get());
    permits.release(5);
    EXPECT_EQ(permits.value(), 5);
    EXPECT_THROW(permits.release(0), std::invalid_argument);
    EXPECT_THROW(m.semaphore(-1), std::invalid_argument);
    const auto bounded = m.bounded_semaphore(1);
    EXPECT_THROW(bounded.release(), std::invalid_argument);
    bounded.acquire();
    bounded.release();
}

TEST_F(managed, event_is_set_cleared_and_waited_for) {
    const auto flag = m.event();
    EXPECT_FALSE(flag.is_set());
    EXPECT_FALSE(flag.wait(1ms));
    std::vector<std::future<bool>> threads;
    for (int i = 0; i < 3; ++i) threads.push_back(in_thread([&] { return flag.wait(20s); }));
    flag.set();
    for (auto& each : threads) EXPECT_TRUE(each.get());
    EXPECT_TRUE(flag.is_set());
    EXPECT_TRUE(flag.wait(0s));
    flag.clear();
    EXPECT_FALSE(flag.is_set());
}

TEST(served_event, lets_those_go_who_wait_also_when_it_is_cleared_at_once) {
    served::client main(1, -1);
    served::client::set_current(&main);
    served::event flag;
    for (int round = 0; round < 20; ++round) {
        std::atomic<pid_t> thread{0};
        auto waiter = in_thread([&] {
            served::client other(2, -1);
            served::client::set_current(&other);
            thread = ::gettid();
            return flag.wait(10s);
        });
        until([&] { return thread != 0; });
        wait_until_asleep(thread);
        flag.set();
        flag.clear();
        EXPECT_TRUE(waiter.get());
    }
    served::client::set_current(nullptr);
}

TEST_F(managed, condition_wakes_in_order_as_many_as_are_meant) {
    const auto ready = m.condition();
    EXPECT_THROW(ready.wait(), invalid_state_error);
    EXPECT_THROW(ready.notify(), invalid_state_error);
    const auto woken = m.list<int>();
    const auto waiting = m.value<int>(0);
    std::vector<std::future<bool>> threads;
    for (int i = 0; i < 3; ++i) {
        threads.push_back(in_thread([&, i] {
            const std::lock_guard inside(ready);
            waiting.set(i + 1);
            const bool came = ready.wait(20s);
            woken.append(i);
            return came;
        }));
        until([&] { return waiting.get() == i + 1; });
    }
    {
        const std::lock_guard inside(ready);  // so all wait
        EXPECT_FALSE(ready.wait(1ms));
        ready.notify(2);
    }
    EXPECT_TRUE(threads[0].get());
    EXPECT_TRUE(threads[1].get());
    EXPECT_THAT(woken.values(), UnorderedElementsAre(0, 1));
    {
        const std::lock_guard inside(ready);
        ready.notify_all();
    }
    EXPECT_TRUE(threads[2].get());
}

TEST_F(managed, condition_gives_an_rlock_back_altogether_and_shares_it_with_others) {
    const auto door = m.rlock();
    const auto full = m.condition(door);
    const auto empty = m.condition(door);
    const auto count = m.value<int>(0);
    auto consumer = in_thread([&] {
        door.acquire();
        door.acquire();
        const bool came = full.wait_for([&] { return count.get() == 3; }, 20s);
        count.set(0);
        empty.notify();
        const auto held = door.recursion_count();
        door.release();
        door.release();
        return came && held == 2;
    });
    for (int i = 1; i <= 3; ++i) {
        const std::lock_guard inside(full);
        count.set(i);
        full.notify_all();
    }
    {
        const std::lock_guard inside(empty);
        EXPECT_TRUE(empty.wait_for([&] { return count.get() == 0; }, 20s));
        EXPECT_FALSE(empty.wait_for([&] { return count.get() == 1; }, 1ms));
    }
    EXPECT_TRUE(consumer.get());
    const auto plain = m.condition(m.lock());
    const std::lock_guard inside(plain);
    EXPECT_FALSE(plain.wait(1ms));
}

TEST_F(managed, barrier_gives_each_party_another_number_again_and_again) {
    const auto meeting = m.barrier(3);
    EXPECT_EQ(meeting.parties(), 3U);
    for (int round = 0; round < 20; ++round) {
        auto a = in_thread([&] { return meeting.wait(20s); });
        auto b = in_thread([&] { return meeting.wait(20s); });
        std::vector<std::size_t> numbers{meeting.wait(20s), a.get(), b.get()};
        std::ranges::sort(numbers);
        EXPECT_THAT(numbers, ElementsAre(0, 1, 2));
    }
}

TEST_F(managed, barrier_breaks_for_all_and_is_mended_by_reset) {
    const auto meeting = m.barrier(2, 1ms);
    EXPECT_THROW(meeting.wait(), broken_barrier_error);
    EXPECT_TRUE(meeting.broken());
    EXPECT_THROW(meeting.wait(20s), broken_barrier_error);
    meeting.reset();
    EXPECT_FALSE(meeting.broken());
    auto other = in_thread([&] { return meeting.wait(20s); });
    until([&] { return meeting.n_waiting() == 1; });
    meeting.reset();
    EXPECT_THROW(other.get(), broken_barrier_error);
    auto third = in_thread([&] { return meeting.wait(20s); });
    until([&] { return meeting.n_waiting() == 1; });
    meeting.abort();
    EXPECT_THROW(third.get(), broken_barrier_error);
    EXPECT_THROW(m.barrier(0), std::invalid_argument);
}

TEST_F(managed, calls_that_wait_hold_up_nobody) {
    const auto never = m.queue<int>(1);
    const auto door = m.lock();
    const auto meeting = m.barrier(2);
    door.acquire();
    std::vector<std::future<void>> waiting;
    for (int i = 0; i < 3; ++i) waiting.push_back(in_thread([&] { never.get(); }));
    waiting.push_back(in_thread([&] { const std::lock_guard inside(door); }));
    waiting.push_back(in_thread([&] { meeting.wait(); }));
    until([&] { return meeting.n_waiting() == 1; });
    const auto numbers = m.list<int>();
    for (int i = 0; i < 100; ++i) numbers.append(i);
    EXPECT_EQ(numbers.size(), 100U);
    door.release();
    meeting.wait(20s);
    for (int i = 0; i < 3; ++i) never.put(i);
    for (auto& each : waiting) each.get();
}

}  // namespace
}  // namespace tercet::multiprocessing
