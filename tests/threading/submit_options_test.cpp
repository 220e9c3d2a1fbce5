#include <tercet/threading/thread_pool_executor.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <latch>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "error_text.hpp"

namespace {

using namespace std::chrono_literals;
using namespace tercet;
using tercet::threading::thread_pool_executor;

TEST(submit_options, a_call_that_takes_longer_than_its_timeout_fails_and_is_asked_to_stop) {
    std::latch has_stopped(1);
    thread_pool_executor pool(1);
    auto slow = pool.submit({.timeout = 5ms, .name = "slow"}, [&](std::stop_token token) {
        std::latch stopped(1);
        const std::stop_callback wake(token, [&] { stopped.count_down(); });
        stopped.wait();
        has_stopped.count_down();
        return 1;
    });
    EXPECT_THAT(text_of(slow), testing::HasSubstr("'slow' took longer"));
    EXPECT_THROW(slow.result(), timeout_error);
    has_stopped.wait();
    EXPECT_EQ(pool.submit([] { return 2; }).result(), 2);
}

TEST(submit_options, a_call_that_is_done_in_time_keeps_its_result) {
    thread_pool_executor pool(2);
    auto quick = pool.submit(
        {.timeout = 1h, .deadline = 1h}, [](int n) { return n + 1; }, 1);
    EXPECT_EQ(quick.result(), 2);
}

TEST(submit_options, a_call_that_has_not_begun_by_its_deadline_does_not_begin) {
    std::latch door(1);
    thread_pool_executor pool(1);
    auto blocking = pool.submit([&] { door.wait(); });
    std::atomic<bool> has_begun{false};
    auto late = pool.submit({.deadline = 5ms, .name = "late"}, [&] {
        has_begun = true;
        return 1;
    });
    EXPECT_THAT(text_of(late), testing::HasSubstr("'late' had not begun"));
    door.count_down();
    pool.shutdown();
    EXPECT_FALSE(has_begun);
}

TEST(submit_options, a_call_that_throws_is_made_again_as_often_as_asked) {
    thread_pool_executor pool(1);
    std::atomic<int> attempts{0};
    auto work = [&](const std::string& text) {
        if (++attempts < 3) throw std::runtime_error(text);
        return static_cast<int>(text.size());
    };
    EXPECT_EQ(pool.submit({.retries = 2}, work, std::string("four")).result(), 4);
    EXPECT_EQ(attempts, 3);
    attempts = 0;
    auto failing = pool.submit({.retries = 1}, work, std::string("twice"));
    EXPECT_EQ(text_of(failing), "twice");
    EXPECT_EQ(attempts, 2);
}

TEST(submit_options, retries_of_what_can_only_be_moved_are_refused) {
    thread_pool_executor pool(1);
    auto take = [](std::unique_ptr<int> given) { return *given; };
    EXPECT_EQ(pool.submit({.name = "once"}, take, std::make_unique<int>(3)).result(), 3);
    EXPECT_THROW(pool.submit({.retries = 1}, take, std::make_unique<int>(3)), std::invalid_argument);
}

TEST(submit_options, a_higher_priority_goes_first_and_equals_keep_their_order) {
    std::latch door(1);
    thread_pool_executor pool(1);
    std::vector<int> order;
    auto blocking = pool.submit([&] { door.wait(); });
    auto note = [&](int what) { order.push_back(what); };
    static_cast<void>(pool.submit(note, 0));
    static_cast<void>(pool.submit({.priority = -1}, note, -1));
    static_cast<void>(pool.submit({.priority = 1}, note, 1));
    static_cast<void>(pool.submit({.priority = 2}, note, 2));
    static_cast<void>(pool.submit({.priority = 1}, note, 11));
    static_cast<void>(pool.submit(note, 100));
    door.count_down();
    pool.shutdown();
    EXPECT_THAT(order, testing::ElementsAre(2, 1, 11, 0, 100, -1));
}

TEST(submit_options, a_priority_overtakes_no_more_calls_than_its_steps_allow) {
    std::latch door(1);
    thread_pool_executor pool(1);
    auto blocking = pool.submit([&] { door.wait(); });
    int done_before = 0;
    int overtaken = -1;
    for (int i = 0; i < 1500; ++i) pool.post([&] { ++done_before; });
    static_cast<void>(pool.submit({.priority = 1}, [&] { overtaken = 1500 - done_before; }));
    door.count_down();
    pool.shutdown();
    EXPECT_GT(overtaken, 900);
    EXPECT_LE(overtaken, 1000 + 16);  // a worker may have taken that many ahead
}

TEST(submit_options, shutdown_names_the_call_it_waits_for) {
    std::latch is_inside(1);
    std::latch door(1);
    thread_pool_executor pool(1);
    auto running = pool.submit({.name = "backup"}, [&] {
        is_inside.count_down();
        door.wait();
    });
    is_inside.wait();
    try {
        pool.shutdown({.timeout = 1ms});
        FAIL() << "the door is closed";
    } catch (const timeout_error& error) {
        EXPECT_THAT(error.what(), testing::HasSubstr("tercet-0 ('backup')"));
    }
    door.count_down();
}

TEST(submit_options, an_end_and_a_timeout_at_once_give_one_result) {
    thread_pool_executor pool(2);
    int in_time = 0;
    int late = 0;
    for (int i = 0; i < 300; ++i) {
        auto close = pool.submit({.timeout = std::chrono::microseconds(i)}, [] { return 1; });
        try {
            in_time += close.result();
        } catch (const timeout_error&) {
            ++late;
        }
    }
    EXPECT_EQ(in_time + late, 300);
}

TEST(submit_options, a_queued_call_with_a_deadline_can_be_cancelled) {
    std::latch door(1);
    thread_pool_executor pool(1);
    auto blocking = pool.submit([&] { door.wait(); });
    auto queued = pool.submit({.deadline = 1h}, [] { return 1; });
    EXPECT_TRUE(queued.cancel());
    EXPECT_THROW(queued.result(), cancelled_error);
    door.count_down();
}

TEST(submit_options, the_pool_may_go_in_a_callback_of_a_timeout) {
    std::latch door(1);
    std::latch is_gone(1);
    auto pool = std::make_unique<thread_pool_executor>(1);
    auto slow = pool->submit({.timeout = 1ms}, [&] { door.wait(); });
    slow.add_done_callback([&] {
        door.count_down();
        pool.reset();
        is_gone.count_down();
    });
    is_gone.wait();
    EXPECT_THROW(slow.result(), timeout_error);
}

TEST(submit_options, a_call_that_is_over_is_not_kept_until_its_deadline) {
    thread_pool_executor pool(1);
    auto alive = std::make_shared<int>(5);
    auto copy = pool.submit({.timeout = 1h, .deadline = 1h}, [alive] { return alive; });
    EXPECT_EQ(*copy.result(), 5);
    copy = {};
    pool.shutdown();
    EXPECT_EQ(alive.use_count(), 1);
}

TEST(submit_options, a_callback_of_one_timeout_does_not_hold_up_the_next) {
    std::latch door(1);
    thread_pool_executor pool(2);
    const auto slow = [&] {
        door.wait();
        return 1;
    };
    auto first = pool.submit({.timeout = 1ms}, slow);
    auto second = pool.submit({.timeout = 30ms}, slow);
    std::latch is_over(1);
    bool second_was_in_time = false;
    first.add_done_callback([&] {
        second_was_in_time = second.wait(20s);
        is_over.count_down();
    });
    is_over.wait();
    EXPECT_TRUE(second_was_in_time);
    EXPECT_THROW(first.result(), timeout_error);
    EXPECT_THROW(second.result(), timeout_error);
    door.count_down();
}

TEST(submit_options, deadlines_that_come_while_callbacks_run_are_kept) {
    std::latch all(3);
    std::latch door(1);
    thread_pool_executor pool(1);
    auto blocking = pool.submit([&] { door.wait(); });
    std::array<future<void>, 3> late;
    {
        std::vector<std::jthread> callers;  // a callback that comes too late to be called by another runs here
        for (auto& each : late)
            callers.emplace_back([&] {
                each = pool.submit({.deadline = 1ms}, [] {});
                each.add_done_callback([&] { all.arrive_and_wait(); });  // they wait for each other
            });
    }
    all.wait();
    door.count_down();
    for (auto& each : late) EXPECT_THROW(each.result(), timeout_error);
}

struct throws_when_moved_twice {
    int moves = 0;
    throws_when_moved_twice() = default;
    throws_when_moved_twice(throws_when_moved_twice&& other) : moves(other.moves + 1) {
        if (moves >= 2) throw std::runtime_error("moved");
    }
};

TEST(submit_options, a_result_that_throws_when_it_is_moved_fails_its_call) {
    thread_pool_executor pool(1);
    auto moved = pool.submit({.name = "moved"}, [] { return throws_when_moved_twice(); });
    EXPECT_THROW(moved.result(), std::runtime_error);
}

TEST(submit_options, a_cancel_and_a_deadline_at_once_give_one_end) {
    deadline_watch watch;
    for (int i = 0; i < 500; ++i) {
        auto* const work = new limited_call<int (*)()>(
            watch, {.deadline = std::chrono::hours(1)}, +[] { return 1; });
        future<int> result{state_pointer<future_state<int>>(work)};
        int fired = 0;
        result.add_done_callback([&] { ++fired; });
        std::atomic<int> ready{0};
        const auto together = [&](auto what) {
            return std::jthread([&ready, what] {
                ++ready;
                while (ready != 3) std::this_thread::yield();
                what();
            });
        };
        {
            work->add_reference();
            const std::jthread cancels = together([work] { work->cancel(); });
            const std::jthread expires = together([work] { work->expire(); });
            const std::jthread runs = together([work] { work->run(nullptr); });
        }
        work->release();
        EXPECT_EQ(fired, 1);
        static_cast<void>(result.wait());
        result.state().mark_read();
    }
}

}  // namespace
