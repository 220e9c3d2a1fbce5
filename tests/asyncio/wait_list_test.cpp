// What is the same for everything that tasks wait in: what becomes of those who wait when it goes.

#include <tercet/asyncio.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "asyncio/unread_errors.hpp"

using namespace std::chrono_literals;
using namespace tercet::asyncio;
using tercet::cancelled_error;
using tercet::invalid_state_error;
using testing::HasSubstr;
using testing::IsEmpty;

namespace {

template <class Waited>
class everything_to_wait_in : public testing::Test {};

struct an_event {
    coro<> wait() { co_await waited.wait(); }
    event waited;
};
struct a_semaphore {
    coro<> wait() { co_await waited.acquire(); }
    semaphore waited{0};
};
struct a_condition {
    coro<> wait() {
        co_await waited.acquire();  // a guard must not outlive its lock
        co_await waited.wait();
    }
    condition waited;
};
struct a_barrier {
    coro<> wait() { co_await waited.wait(); }
    barrier waited{2};
};
struct an_empty_queue {
    coro<> wait() {
        const std::string item = co_await waited.get();
        ADD_FAILURE() << item;
    }
    queue<std::string> waited{1};
};
struct a_queue_to_iterate {
    coro<> wait() {
        const auto item = co_await waited.next();
        ADD_FAILURE() << item.has_value();
    }
    priority_queue<std::string> waited{1};
};
struct a_full_queue {
    a_full_queue() { waited.put_nowait("first"); }
    coro<> wait() { co_await waited.put("second"); }
    lifo_queue<std::string> waited{1};
};
struct a_queue_to_join {
    a_queue_to_join() { waited.put_nowait("first"); }
    coro<> wait() { co_await waited.join(); }
    queue<std::string> waited{1};
};

using all = testing::Types<an_event, a_semaphore, a_condition, a_barrier, an_empty_queue, a_queue_to_iterate,
                           a_full_queue, a_queue_to_join>;
TYPED_TEST_SUITE(everything_to_wait_in, all);

}  // namespace

TYPED_TEST(everything_to_wait_in, that_goes_while_a_task_waits_ends_the_wait_with_an_error) {
    auto main = []() -> coro<> {
        auto waited = std::make_unique<TypeParam>();
        task<> waiter = create_task(waited->wait(), {.name = "waiter"});
        co_await sleep(0s);
        waited.reset();
        try {
            co_await waiter;
            ADD_FAILURE();
        } catch (const invalid_state_error& error) {
            EXPECT_THAT(error.what(), HasSubstr("waiter"));
        }
    };
    run(main());
}

TYPED_TEST(everything_to_wait_in, may_stand_in_main_and_go_before_the_tasks_that_wait_in_it_for_ever) {
    const unread_errors unread;
    task<> waiter;
    auto main = [&]() -> coro<> {
        TypeParam waited;
        waiter = create_task(waited.wait());
        co_await sleep(0s);
    };
    run(main());
    EXPECT_TRUE(waiter.cancelled());
    EXPECT_THAT(unread.texts(), IsEmpty());
}
