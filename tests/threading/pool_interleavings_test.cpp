// The code of the deque and of the sleeping and waking of a pool's workers, in all orders of its steps that interrupt a
// thread a few times at most. See interleavings.hpp. The loops of the workers here are those of pool_worker.cpp.

#include <gtest/gtest.h>
#include <sanitizers.hpp>

#include <array>
#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "interleavings.hpp"
#include "threading/sleepers.hpp"
#include "threading/work_deque.hpp"

namespace tercet::threading {
namespace {

using parts = interleaved_parts;

struct numbered final : job {
    void run(finish_observer*) noexcept override {}
    void discard() noexcept override {}
    void fail(std::exception_ptr) noexcept override {}
    int taken = 0;
};

template <std::size_t capacity>
using stepped_deque = basic_work_deque<capacity, parts::atomic>;

void take(job* one) {
    if (one) ++static_cast<numbered*>(one)->taken;
}

/// An owner that pushes, `+`, and pops, `-`, beside thieves who try some times each.
void play_deque(const std::string& owner, int thieves, int tries, unsigned interruptions) {
    if (is_under_thread_sanitizer) GTEST_SKIP() << "contexts are no threads to it";
    SCOPED_TRACE(owner);
    interleavings orders(interruptions);
    while (orders.has_next()) {
        std::array<numbered, 8> all;
        std::size_t pushed = 0;
        stepped_deque<2> deque;
        std::vector<std::function<void()>> bodies;
        bodies.emplace_back([&] {
            for (const char each : owner)
                if (each == '-')
                    take(deque.pop());
                else if (deque.push(all[pushed]))
                    ++pushed;
        });
        for (int thief = 0; thief < thieves; ++thief)
            bodies.emplace_back([&] {
                for (int i = 0; i < tries; ++i) take(deque.steal());
            });
        ASSERT_TRUE(orders.run(std::move(bodies)));
        while (job* const left = deque.pop()) take(left);
        for (std::size_t i = 0; i < all.size(); ++i)
            ASSERT_EQ(all[i].taken, i < pushed ? 1 : 0) << "job " << i << " in order " << orders.runs();
    }
    EXPECT_GT(orders.runs(), 100U);
}

TEST(pool_interleavings, the_deque_gives_each_job_once_at_capacity_2) {
    constexpr unsigned every = 1000;
    for (const char* owner : {"+-", "++-"}) play_deque(owner, 1, 1, every);
    for (const char* owner : {"+-+-", "++--++--", "++-+-+--", "+++-+--"}) {
        play_deque(owner, 1, 3, 4);
        play_deque(owner, 2, 2, 3);
    }
}

/// What basic_sleepers wants from a pool: all threads are there. Jobs stand in one queue.
class model {
public:
    using sleepers = basic_sleepers<model, parts>;
    struct worker {
        parts::parker parker;
        sleepers::sleeper rest{parker};
        parts::atomic<bool> is_busy{false};
    };
    struct event {
        void set() {
            parts::step();
            is_set = true;
            interleavings::current->wake(this);
        }
        void wait() {
            parts::step();
            while (!is_set) interleavings::current->sleep(this);
        }
        bool is_set = false;
    };
    using job_type = std::function<void()>;

    explicit model(std::size_t workers) : all(workers) {}

    // For basic_sleepers.
    bool has_work() const {
        parts::step();
        return !jobs_.empty();
    }
    bool may_start() const { return false; }
    bool may_grow() const { return false; }
    bool has_free() const {
        for (const worker& each : all)
            if (!each.is_busy.load()) return true;
        return false;
    }
    growth start_thread_if_needed() { return growth::impossible; }
    bool may_leave() {
        if (!is_shut_down || sleeping.idle() != all.size() || has_work()) return false;
        is_over = true;
        sleeping.wake_all_idle();
        return true;
    }

    void submit(job_type work) {
        parts::step();
        jobs_.push_back(std::move(work));
        sleeping.wake_taker();
    }
    void shut_down() {
        parts::step();
        is_shut_down = true;
        sleeping.mutex().lock();
        static_cast<void>(may_leave());
        sleeping.mutex().unlock();
    }
    void work(std::size_t number) {
        auto& rest = all[number].rest;
        do {
            while (job_type next = find(number)) {
                execute(rest, next);
                all[number].is_busy.store(false);
            }
        } while ((!is_shut_down && sleeping.begin_search(rest, (all.size() + 1) / 2) && has_work()) ||
                 (!is_over && sleeping.sleep(rest)));
        sleeping.end_search(rest);
        all[number].is_busy.store(true);
        sleeping.note_busy();
    }
    /// What pool_worker::wait does for a future that is there when `over` is, whose setter unparks the worker.
    void wait(std::size_t number, const parts::atomic<bool>& over) {
        auto& rest = all[number].rest;
        while (!over.load()) {
            if (job_type next = sleeping.is_saturated() ? find(number) : nullptr) {
                execute(rest, next);
                continue;
            }
            if (sleeping.is_saturated()) sleeping.begin_search(rest, (all.size() + 1) / 2);
            if (over.load() || (rest.is_searching && has_work() && sleeping.is_saturated())) continue;
            sleeping.sleep_waiting(rest, [&] { all[number].parker.park(0); });
        }
        sleeping.end_search(rest);
    }
    void finish(parts::atomic<bool>& over, std::size_t waiting) {
        over.store(true);
        all[waiting].parker.unpark();
    }

    sleepers sleeping{*this, 4};
    std::vector<worker> all;
    bool is_shut_down = false;
    bool is_over = false;

private:
    job_type find(std::size_t number) {
        job_type found = take();
        if (!found) return nullptr;
        all[number].is_busy.store(true);
        sleeping.note_busy();
        return found;
    }
    job_type take() {
        parts::step();
        if (jobs_.empty()) return nullptr;
        job_type first = std::move(jobs_.front());
        jobs_.erase(jobs_.begin());
        return first;
    }
    void execute(sleepers::sleeper& rest, const job_type& work) {
        sleeping.end_search(rest);
        work();
    }

    std::vector<job_type> jobs_;
};

/// Runs `scene` in all orders: it adds to the bodies, which are the workers' so far, what else happens.
void play_pool(std::size_t workers, unsigned interruptions,
               const std::function<void(model&, std::vector<std::function<void()>>&)>& scene) {
    if (is_under_thread_sanitizer) GTEST_SKIP() << "contexts are no threads to it";
    interleavings orders(interruptions);
    while (orders.has_next()) {
        model pool(workers);
        std::vector<std::function<void()>> bodies;
        for (std::size_t i = 0; i < workers; ++i) bodies.emplace_back([&pool, i] { pool.work(i); });
        scene(pool, bodies);
        ASSERT_TRUE(orders.run(std::move(bodies))) << "a wake-up was lost in order " << orders.runs();
    }
    EXPECT_GT(orders.runs(), 1000U);
}

constexpr unsigned most = 3;

TEST(pool_interleavings, a_job_behind_one_that_blocks_wakes_another_thread) {
    std::array<model::event, 2> done;
    play_pool(2, most, [&](model& pool, auto& bodies) {
        done = {};
        bodies.emplace_back([&] {
            pool.submit([&] { done[1].wait(); });
            pool.submit([&] { done[1].set(); });
            pool.shut_down();
        });
    });
}

TEST(pool_interleavings, two_producers_and_a_shutdown_leave_nothing_undone) {
    int ran = 0;
    play_pool(2, most, [&](model& pool, auto& bodies) {
        ran = 0;
        for (int i = 0; i < 2; ++i)
            bodies.emplace_back([&] {
                pool.submit([&] {
                    if (++ran == 2) pool.shut_down();
                });
            });
    });
}

TEST(pool_interleavings, a_searcher_whose_wait_is_over_leaves_the_job_that_it_saw_to_another) {
    std::optional<parts::atomic<bool>> over;
    model::event done;
    play_pool(2, most, [&](model& pool, auto& bodies) {
        over.emplace(false);
        done = {};
        bodies[0] = [&] {
            pool.all[0].is_busy.store(true);  // a call of it waits
            pool.wait(0, *over);
            done.wait();  // its thread is taken until the job was done
            pool.all[0].is_busy.store(false);
            pool.work(0);
        };
        bodies.emplace_back([&] {
            pool.submit([&] { done.set(); });
            pool.finish(*over, 0);
            pool.shut_down();
        });
    });
}

TEST(pool_interleavings, a_thread_that_waits_comes_to_the_job_for_which_nobody_else_is_there) {
    std::optional<parts::atomic<bool>> over;
    model::event done;
    play_pool(2, most, [&](model& pool, auto& bodies) {
        over.emplace(false);
        done = {};
        bodies[0] = [&] {
            pool.all[0].is_busy.store(true);  // a call of it waits
            pool.wait(0, *over);
            pool.all[0].is_busy.store(false);
            pool.work(0);
        };
        bodies.emplace_back([&] {
            pool.submit([&] { done.wait(); });
            pool.submit([&] {
                done.set();
                pool.finish(*over, 0);
            });
            pool.shut_down();
        });
    });
}

}  // namespace
}  // namespace tercet::threading
