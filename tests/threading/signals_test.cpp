// Every wait with a time limit, on a thread that is hit by signals all the while: their handler returns, so the wait
// goes on, and its limit counts from its beginning.

#include <tercet/futures.hpp>
#include <tercet/threading.hpp>

#include <gtest/gtest.h>
#include <pthread.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <thread>

using namespace std::chrono_literals;
using namespace tercet;
using namespace tercet::threading;

namespace {

std::atomic<int> handled{0};

/// Signals without SA_RESTART: each one interrupts the system call.
class counted_signal {
public:
    counted_signal() {
        handled = 0;
        struct sigaction action {};
        action.sa_handler = [](int) { ++handled; };
        ::sigaction(SIGUSR1, &action, &before_);
    }
    counted_signal(const counted_signal&) = delete;
    counted_signal& operator=(const counted_signal&) = delete;
    ~counted_signal() { ::sigaction(SIGUSR1, &before_, nullptr); }

private:
    struct sigaction before_ {};
};

constexpr auto limit = 50ms;

/// `wait` gives up after `limit`; whether it says so is for it to look at.
template <class Wait>
void expect_exact_under_signals(const char* name, Wait wait) {
    const counted_signal signals;
    std::atomic<bool> is_over{false};
    std::chrono::steady_clock::duration took{};
    std::thread waiter([&] {
        const auto begin = std::chrono::steady_clock::now();
        wait();
        took = std::chrono::steady_clock::now() - begin;
        is_over = true;
    });
    while (!is_over) ::pthread_kill(waiter.native_handle(), SIGUSR1);
    waiter.join();
    EXPECT_GT(handled, 0) << name;
    EXPECT_GE(took, limit) << name;
    EXPECT_LT(took, 5s) << name;
}

}  // namespace

TEST(signals, neither_end_nor_extend_the_wait_for_a_lock_or_a_permit) {
    rlock again;
    again.acquire();
    expect_exact_under_signals("rlock", [&] { EXPECT_FALSE(again.acquire(limit)); });
    again.release();
    semaphore permits(0);
    expect_exact_under_signals("semaphore", [&] { EXPECT_FALSE(permits.acquire(limit)); });
    bounded_semaphore bounded(1);
    bounded.acquire();
    expect_exact_under_signals("bounded_semaphore", [&] { EXPECT_FALSE(bounded.acquire(limit)); });
    bounded.release();
}

TEST(signals, neither_end_nor_extend_the_wait_for_a_notification) {
    condition changed;
    expect_exact_under_signals("condition", [&] {
        changed.acquire();
        EXPECT_FALSE(changed.wait(limit));
        changed.release();
    });
    expect_exact_under_signals("condition::wait_for", [&] {
        changed.acquire();
        EXPECT_FALSE(changed.wait_for([] { return false; }, limit));
        changed.release();
    });
    event happened;
    expect_exact_under_signals("event", [&] { EXPECT_FALSE(happened.wait(limit)); });
    barrier meeting(2);
    expect_exact_under_signals("barrier", [&] { EXPECT_THROW(meeting.wait(limit), broken_barrier_error); });
}

TEST(signals, neither_end_nor_extend_the_wait_for_an_item_or_for_room) {
    queue<int> items(1);
    expect_exact_under_signals("queue::get", [&] { EXPECT_THROW(items.get(limit), queue_empty); });
    items.put(1);
    expect_exact_under_signals("queue::put", [&] { EXPECT_THROW(items.put(2, limit), queue_full); });
    expect_exact_under_signals("queue::join", [&] { EXPECT_FALSE(items.join(limit)); });
    simple_queue<int> simple;
    expect_exact_under_signals("simple_queue", [&] { EXPECT_THROW(simple.get(limit), queue_empty); });
    priority_queue<int> ordered(1);
    expect_exact_under_signals("priority_queue", [&] { EXPECT_THROW(ordered.get(limit), queue_empty); });
    lifo_queue<int> stack(1);
    expect_exact_under_signals("lifo_queue", [&] { EXPECT_THROW(stack.get(limit), queue_empty); });
}

TEST(signals, neither_end_nor_extend_the_wait_for_a_result_or_a_thread) {
    promise<int> never;
    future<int> pending = never.get_future();
    expect_exact_under_signals("future", [&] { EXPECT_THROW(pending.result(limit), timeout_error); });
    event may_end;
    thread runs([&] { may_end.wait(); });
    runs.start();
    expect_exact_under_signals("thread::join", [&] { EXPECT_FALSE(runs.join(limit)); });
    may_end.set();
    runs.join();
}
