#include <tercet/futures/fork_generation.hpp>
#include <tercet/threading/barrier.hpp>
#include <tercet/threading/bounded_semaphore.hpp>
#include <tercet/threading/condition.hpp>
#include <tercet/threading/event.hpp>
#include <tercet/threading/lifo_queue.hpp>
#include <tercet/threading/local.hpp>
#include <tercet/threading/priority_queue.hpp>
#include <tercet/threading/queue.hpp>
#include <tercet/threading/simple_queue.hpp>
#include <tercet/threading/thread.hpp>
#include <tercet/threading/thread_pool_executor.hpp>

#include <gtest/gtest.h>
#include <sanitizers.hpp>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <latch>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace {

using namespace std::chrono_literals;
using namespace tercet;
using namespace tercet::threading;

/// Whether `check`, in the child of a fork, comes back with true before half a minute has passed.
template <class Check>
testing::AssertionResult holds_in_child(Check check) {
    if (is_under_thread_sanitizer) return testing::AssertionSuccess();  // it has no threads in a child
    const pid_t child = ::fork();
    if (child == 0) {
        ::alarm(30);
        ::_exit(check() ? 0 : 1);
    }
    int status = -1;
    if (::waitpid(child, &status, 0) != child) return testing::AssertionFailure() << "no child";
    if (WIFSIGNALED(status)) return testing::AssertionFailure() << "ended by signal " << WTERMSIG(status);
    return WEXITSTATUS(status) == 0 ? testing::AssertionSuccess() : testing::AssertionFailure() << "it does not hold";
}

/// Threads that do something again and again until this goes.
class busy_threads {
public:
    template <class Fn>
    busy_threads(int count, Fn fn) {
        for (int i = 0; i < count; ++i)
            threads_.emplace_back([this, fn](const std::stop_token& stop) {
                while (!stop.stop_requested()) {
                    fn();
                    turns_.fetch_add(1, std::memory_order_relaxed);
                }
            });
        while (turns_ < 100) std::this_thread::yield();
    }
    ~busy_threads() { threads_.clear(); }

private:
    std::atomic<int> turns_{0};
    std::vector<std::jthread> threads_;
};

TEST(at_fork, a_condition_on_which_threads_wait_is_usable_in_the_child) {
    condition changed;
    std::atomic<int> waits{0};
    bool is_over = false;
    std::jthread waiter([&] {
        const std::lock_guard guard(changed);
        ++waits;
        changed.wait_for([&] { return is_over; });
    });
    while (waits == 0) std::this_thread::yield();
    changed.acquire();  // so the waiter waits
    EXPECT_TRUE(holds_in_child([&] {
        changed.at_fork_reinit();
        const std::lock_guard guard(changed);
        changed.notify_all();
        return !changed.wait(1ms);
    }));
    is_over = true;
    changed.notify_all();
    changed.release();
}

TEST(at_fork, a_condition_on_a_lock_of_a_thread_that_is_lost_is_usable_in_the_child) {
    lock door;
    condition changed(door);
    std::latch has_it(1);
    std::latch may_go(1);
    std::jthread owner([&] {
        const std::lock_guard guard(door);
        has_it.count_down();
        may_go.wait();
    });
    has_it.wait();
    EXPECT_TRUE(holds_in_child([&] {
        changed.at_fork_reinit();
        return changed.acquire(0s);
    }));
    may_go.count_down();
}

TEST(at_fork, an_event_that_threads_use_is_usable_in_the_child) {
    event ready;
    const busy_threads busy(2, [&] {
        ready.set();
        ready.clear();
        ready.wait(1us);
    });
    for (int i = 0; i < 30; ++i)
        EXPECT_TRUE(holds_in_child([&] {
            ready.at_fork_reinit();
            ready.clear();
            if (ready.wait(1ms)) return false;
            ready.set();
            return ready.wait(0s);
        }));
}

TEST(at_fork, semaphores_that_threads_use_are_usable_in_the_child) {
    semaphore permits(1);
    bounded_semaphore bounded(3);
    const busy_threads busy(2, [&] {
        const std::lock_guard one(permits);
        const std::lock_guard other(bounded);
    });
    for (int i = 0; i < 30; ++i)
        EXPECT_TRUE(holds_in_child([&] {
            permits.at_fork_reinit();
            bounded.at_fork_reinit();
            permits.release();
            return permits.acquire(0s) && bounded.acquire(0s) && bounded.value() <= 2;
        }));
}

TEST(at_fork, a_barrier_at_which_threads_wait_begins_anew_in_the_child) {
    barrier gate(2);
    std::jthread waiter([&] { gate.wait(); });
    while (gate.n_waiting() == 0) std::this_thread::yield();
    EXPECT_TRUE(holds_in_child([&] {
        gate.at_fork_reinit();
        if (gate.n_waiting() != 0 || gate.broken()) return false;
        std::jthread other([&] { gate.wait(); });
        gate.wait();
        return true;
    }));
    gate.wait();
}

template <class Queue>
class queues_at_fork : public testing::Test {
public:
    static Queue make() {
        if constexpr (std::is_same_v<Queue, simple_queue<std::string>>)
            return Queue();
        else
            return Queue(3);
    }
};
using all_queues =
    testing::Types<queue<std::string>, simple_queue<std::string>, lifo_queue<std::string>, priority_queue<std::string>>;
TYPED_TEST_SUITE(queues_at_fork, all_queues, );

TYPED_TEST(queues_at_fork, a_queue_at_work_is_empty_and_usable_in_the_child) {
    if (is_under_address_sanitizer) GTEST_SKIP() << "a lock of its allocator may be held for ever in the child";
    auto items = TestFixture::make();
    const std::string text = "a text that does not fit into a string object itself";
    const busy_threads busy(2, [&] {
        items.put(text);
        static_cast<void>(items.get());
    });
    for (int i = 0; i < 20; ++i)
        EXPECT_TRUE(holds_in_child([&] {
            items.at_fork_reinit();
            if (!items.empty()) return false;
            for (int turn = 0; turn < 500; ++turn) {
                items.put(text);
                items.put(text + "!");
                if (items.get().size() + items.get().size() != 2 * text.size() + 1) return false;
            }
            return items.try_get() == std::nullopt;
        }));
}

TEST(at_fork, memory_for_calls_locals_and_hooks_are_usable_in_the_child_of_a_busy_process) {
    if (is_under_address_sanitizer) GTEST_SKIP() << "a lock of its allocator may be held for ever in the child";
    local<int> number;
    const busy_threads busy(3, [] {
        std::vector<future<int>> made;
        for (int i = 0; i < 600; ++i) {  // more than the lists of a thread hold
            auto [work, result] = make_call([] { return 1; });
            work->run(nullptr);
            made.push_back(std::move(result));
        }
        const local<int> another;
        set_excepthook({});
    });
    for (int i = 0; i < 40; ++i)
        EXPECT_TRUE(holds_in_child([&] {
            std::vector<future<int>> made;
            int sum = 0;
            for (int k = 0; k < 2'000; ++k) {
                auto [work, result] = make_call([] { return 1; });
                work->run(nullptr);
                made.push_back(std::move(result));
            }
            for (auto& each : made) sum += each.result();
            local<int> fresh([] { return 4; });
            set_excepthook({});
            *number = *fresh;
            return sum == 2'000 && *number == 4;
        }));
}

TEST(at_fork, a_pool_can_be_made_in_the_child_of_a_process_that_makes_pools) {
    if (is_under_address_sanitizer) GTEST_SKIP() << "a lock of its allocator may be held for ever in the child";
    const busy_threads busy(2, [] {
        thread_pool_executor pool(2);
        pool.submit([] {}).result();
    });
    for (int i = 0; i < 10; ++i)
        EXPECT_TRUE(holds_in_child([] {
            thread_pool_executor pool(1);
            return pool.submit([] { return 3; }).result() == 3;
        }));
}

TEST(at_fork, a_watch_of_deadlines_refuses_in_the_child_and_goes_without_its_threads) {
    auto watch = std::make_unique<deadline_watch>();
    auto* const work = new limited_call<int (*)()>(
        *watch, {.deadline = 1h}, +[] { return 1; });
    work->watch_deadline();
    EXPECT_TRUE(holds_in_child([&] {
        const auto generation = fork_generation();
        auto* const other = new limited_call<int (*)()>(
            *watch, {.deadline = 1h}, +[] { return 1; });
        bool has_thrown = false;
        try {
            other->watch_deadline();
        } catch (const invalid_state_error&) {
            has_thrown = true;
        }
        other->discard();
        watch.reset();
        return has_thrown && generation > 1;
    }));
    work->discard();
    work->release();
}

}  // namespace
