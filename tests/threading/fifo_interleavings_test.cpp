// The protocol of the FIFO queues under a scheduler of our own: the real code of fifo_gate and fifo_channel, on parts
// in which every step of a thread is a call of `step`, after which another thread may go on. One thread runs at a time;
// a seed decides which. So a lost wake-up is no hang: when all threads sleep, the scheduler sees it at once, and the
// seed replays it. Memory order is not modelled here; see fifo_gate_protocol.hpp and watched_lock.cpp for that.

#include <tercet/futures/errors.hpp>
#include <tercet/threading/fifo_channel.hpp>

#include <gtest/gtest.h>
#include <sanitizers.hpp>
#include <threading/fifo_gate_protocol.hpp>

#include <algorithm>
#include <condition_variable>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <functional>
#include <mutex>
#include <random>
#include <thread>
#include <utility>
#include <vector>

namespace {

using namespace std::chrono_literals;
using tercet::time_limit;
using tercet::threading::basic_fifo_gate;
using tercet::threading::fifo_channel;

/// Lets one thread go on at a time.
class scheduler {
public:
    explicit scheduler(std::uint32_t seed) : seed_(seed), random_(seed) { current = this; }
    ~scheduler() { current = nullptr; }

    static inline scheduler* current = nullptr;

    void run(const std::vector<std::function<void()>>& bodies) {
        states_.assign(bodies.size(), state::ready);
        turns_.resize(bodies.size());
        std::vector<std::thread> threads;
        for (std::size_t i = 0; i < bodies.size(); ++i)
            threads.emplace_back([this, i, &bodies] {
                self = i;
                {
                    std::unique_lock guard(mutex_);
                    turns_[i].wait(guard, [&] { return running_ == i; });
                }
                bodies[i]();
                std::unique_lock guard(mutex_);
                states_[i] = state::over;
                choose();
            });
        {
            const std::unique_lock guard(mutex_);
            choose();
        }
        for (auto& each : threads) each.join();
    }

    /// A point at which another thread may go on.
    void step() {
        if (self == nobody) return;  // set-up and tear-down
        std::unique_lock guard(mutex_);
        choose();
        turns_[self].wait(guard, [&] { return running_ == self; });
    }
    /// The calling thread goes on only when `wake` is called; with a limit, perhaps before. Returns whether it was
    /// woken.
    bool sleep(bool& is_woken, bool may_time_out) {
        std::unique_lock guard(mutex_);
        if (is_woken) return true;
        states_[self] = may_time_out ? state::dozing : state::sleeping;
        choose();
        turns_[self].wait(guard, [&] { return running_ == self; });
        return is_woken;
    }
    void wake(bool& is_woken, std::size_t thread) {
        const std::unique_lock guard(mutex_);
        is_woken = true;
        states_[thread] = state::ready;
    }
    static std::size_t this_thread() { return self; }

private:
    enum class state { ready, dozing, sleeping, over };
    static constexpr std::size_t nobody = static_cast<std::size_t>(-1);
    static inline thread_local std::size_t self = nobody;

    void choose() {
        std::vector<std::size_t> able;
        bool is_all_over = true;
        for (std::size_t i = 0; i < states_.size(); ++i) {
            if (states_[i] == state::ready || states_[i] == state::dozing) able.push_back(i);
            is_all_over = is_all_over && states_[i] == state::over;
        }
        if (able.empty()) {
            if (is_all_over) return;
            // Nobody can ever go on, and there is no way to unwind the threads.
            std::fprintf(stderr, "all threads sleep: a wake-up was lost; seed %u\n", seed_);
            std::abort();
        }
        running_ = able[random_() % able.size()];
        states_[running_] = state::ready;
        turns_[running_].notify_one();
    }

    std::mutex mutex_;
    std::deque<std::condition_variable> turns_;
    std::vector<state> states_;
    std::size_t running_ = nobody;
    std::uint32_t seed_;
    std::mt19937 random_;
};

void step() {
    if (scheduler::current) scheduler::current->step();
}

template <class T>
class stepped_atomic {
public:
    stepped_atomic(T value) : value_(value) {}  // NOLINT(google-explicit-constructor)
    T load(std::memory_order) const {
        step();
        return value_;
    }
    void store(T value, std::memory_order) {
        step();
        value_ = value;
    }
    T exchange(T value, std::memory_order) {
        step();
        return std::exchange(value_, value);
    }

private:
    T value_;
};

/// A lock that spins through the scheduler; its own exchange is one step, as the real one's is.
class stepped_lock {
public:
    void lock() {
        for (step(); is_held_; step()) {
        }
        is_held_ = true;
    }
    void unlock() {
        step();
        is_held_ = false;
    }
    bool try_unlock() {
        step();
        if (is_watched_) return false;
        is_held_ = false;
        return true;
    }
    void watch() {
        step();
        is_watched_ = true;
    }
    void unwatch() {
        step();
        is_watched_ = false;
    }
    bool is_watched() const {
        step();
        return is_watched_;
    }

private:
    bool is_held_ = false;
    bool is_watched_ = false;
};

/// waiting_line with the same contract: what was taken from it will be woken.
class stepped_line {
public:
    using guard_type = std::unique_lock<stepped_lock>;
    struct place {
        bool is_woken = false;
        bool is_in_line = false;
        std::size_t thread = scheduler::this_thread();
    };
    class awakened {
    public:
        awakened() = default;
        explicit awakened(std::vector<place*> all) : all_(std::move(all)) {}
        awakened(awakened&& other) noexcept : all_(std::exchange(other.all_, {})) {}
        awakened& operator=(awakened&& other) noexcept {
            std::swap(all_, other.all_);
            return *this;
        }
        ~awakened() {
            for (place* each : all_) {
                step();
                scheduler::current->wake(each->is_woken, each->thread);
            }
        }
        explicit operator bool() const { return !all_.empty(); }

    private:
        std::vector<place*> all_;
    };

    void enter(place& mine) {
        mine.is_in_line = true;
        line_.push_back(&mine);
    }
    void leave(place& mine) {
        mine.is_in_line = false;
        std::erase(line_, &mine);
    }
    bool sleep(place& mine, guard_type& guard, std::chrono::steady_clock::time_point deadline) {
        guard.unlock();
        step();
        const bool has_limit = deadline != std::chrono::steady_clock::time_point::max();
        if (scheduler::current->sleep(mine.is_woken, has_limit)) return true;
        guard.lock();
        if (mine.is_in_line) {
            leave(mine);
            return false;
        }
        guard.unlock();
        scheduler::current->sleep(mine.is_woken, false);
        return true;
    }
    bool wait(guard_type& guard, std::chrono::steady_clock::time_point deadline) {
        place mine;
        enter(mine);
        if (!sleep(mine, guard, deadline)) return false;
        guard.lock();
        return true;
    }
    awakened take_one() {
        if (line_.empty()) return {};
        place* const first = line_.front();
        leave(*first);
        return awakened({first});
    }
    awakened take_all() {
        for (place* each : line_) each->is_in_line = false;
        return awakened(std::exchange(line_, {}));
    }
    bool empty() const { return line_.empty(); }
    std::size_t size() const { return line_.size(); }

private:
    std::vector<place*> line_;
};

struct no_spin {
    template <class Ready>
    bool until(Ready ready) {
        return ready();
    }
};

struct stepped_machine {
    template <class T>
    using atomic = stepped_atomic<T>;
    using lock = stepped_lock;
    using side_lock = stepped_lock;
    using line = stepped_line;
    using spin = no_spin;
    static void pause() { step(); }
};

using channel = fifo_channel<int, stepped_machine, 2>;
using outcome = channel::outcome;

constexpr std::uint32_t seeds = is_under_thread_sanitizer || is_under_address_sanitizer ? 100 : 400;

/// `producers` put three items each, `consumers` share them; one side may give up at times and try again.
void play(std::uint32_t seed, std::size_t maxsize, int producers, int consumers, bool with_limits) {
    SCOPED_TRACE(testing::Message() << "seed " << seed << ", maxsize " << maxsize);
    constexpr int each = 3;
    scheduler plan(seed);
    channel items(maxsize);
    std::vector<int> got;
    int to_get = producers * each;
    const time_limit limit = with_limits ? time_limit(1h) : time_limit();
    std::vector<std::function<void()>> bodies;
    for (int p = 0; p < producers; ++p)
        bodies.emplace_back([&, p] {
            for (int i = 0; i < each; ++i)
                while (items.put(p * each + i, limit) != outcome::ready) EXPECT_TRUE(with_limits);
        });
    for (int c = 0; c < consumers; ++c)
        bodies.emplace_back([&] {
            while (to_get > 0) {
                --to_get;
                for (bool has_one = false; !has_one;) try {
                        got.push_back(items.get(limit, [](outcome) { throw 1; }));
                        has_one = true;
                    } catch (int) {
                        EXPECT_TRUE(with_limits);
                    }
            }
        });
    plan.run(bodies);
    ASSERT_EQ(got.size(), static_cast<std::size_t>(producers * each));
    std::vector<int> sorted = got;
    std::ranges::sort(sorted);
    for (int i = 0; i < producers * each; ++i) EXPECT_EQ(sorted[static_cast<std::size_t>(i)], i);
    if (consumers == 1)
        for (int p = 0; p < producers; ++p) {
            std::vector<int> mine;
            for (int item : got)
                if (item / each == p) mine.push_back(item);
            EXPECT_TRUE(std::ranges::is_sorted(mine));
        }
}

TEST(fifo_interleavings, no_item_and_no_wake_up_is_lost_between_one_producer_and_one_consumer) {
    for (std::uint32_t seed = 0; seed < seeds; ++seed) play(seed, 1 + seed % 2, 1, 1, false);
}

TEST(fifo_interleavings, no_item_and_no_wake_up_is_lost_among_several) {
    for (std::uint32_t seed = 0; seed < seeds; ++seed) play(seed, 1 + seed % 2, 2, 2, false);
    for (std::uint32_t seed = 0; seed < seeds / 2; ++seed) play(seed, 2, 3, 1, false);
    for (std::uint32_t seed = 0; seed < seeds / 2; ++seed) play(seed, 2, 1, 3, false);
}

TEST(fifo_interleavings, nothing_is_lost_when_waits_give_up_and_begin_again) {
    for (std::uint32_t seed = 0; seed < seeds; ++seed) play(seed, 1 + seed % 2, 2, 2, true);
}

TEST(fifo_interleavings, a_shutdown_at_any_moment_lets_everybody_go_and_loses_nothing_that_was_put) {
    for (std::uint32_t seed = 0; seed < seeds; ++seed) {
        SCOPED_TRACE(seed);
        scheduler plan(seed);
        channel items(2);
        int put = 0;
        int got = 0;
        const auto producer = [&] {
            for (int i = 1; i <= 4; ++i)
                if (items.put(i, {}) == outcome::ready) put += i;
        };
        const auto consumer = [&] {
            try {
                for (;;) got += items.get({}, [](outcome) { throw 1; });
            } catch (int) {
            }
        };
        plan.run({producer, producer, consumer, consumer, [&] { items.gate().shut_down(); }});
        EXPECT_EQ(put, got);
        EXPECT_EQ(items.gate().size(), 0U);
    }
}

TEST(fifo_interleavings, join_returns_when_the_last_task_is_done) {
    for (std::uint32_t seed = 0; seed < seeds; ++seed) {
        scheduler plan(seed);
        channel items(2);
        int done = 0;
        plan.run({[&] {
                      for (int i = 0; i < 3; ++i) items.put(i, {});
                      EXPECT_TRUE(items.gate().join({}));
                      EXPECT_EQ(done, 3);
                  },
                  [&] {
                      for (int i = 0; i < 3; ++i) {
                          items.get({}, [](outcome) { throw 1; });
                          ++done;
                          EXPECT_TRUE(items.gate().task_done());
                      }
                  }});
    }
}

}  // namespace
