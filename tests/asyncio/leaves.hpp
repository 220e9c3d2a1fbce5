#pragma once

#include <tercet/asyncio.hpp>
#include <tercet/futures/future.hpp>

#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

// The kinds of waits of every_wait in suspension_test.cpp, but for those of input and output.

namespace leaves {

using namespace std::chrono_literals;
using namespace tercet::asyncio;
using tercet::cancelled_error;

using action = std::function<void()>;

/// A kind of wait. `complete` makes it complete, and runs `then` after that, before the coroutine resumes.
struct leaf {
    virtual ~leaf() = default;
    virtual coro<> set_up() { co_return; }
    virtual coro<> wait() = 0;
    virtual void complete(action then) = 0;
    /// The wait has been cancelled before that.
    virtual void cancelled() {}
    /// After a wait that was cancelled and a completion: is what was waited for still there?
    virtual coro<bool> is_left() { co_return true; }
    /// After it has completed: waits for whoever still uses it.
    virtual coro<> tear_down() { co_return; }
};

struct sleep_leaf : leaf {
    coro<> wait() override { co_await sleep(2ms); }
    void complete(action then) override {
        event_loop& loop = get_running_loop();
        loop.call_later(1ms, std::move(then));
        const auto both_due = loop.time() + 5ms;
        while (loop.time() < both_due) {
        }
    }
};

struct event_leaf : leaf {
    coro<> wait() override { co_await flag.wait(); }
    void complete(action then) override {
        flag.set();
        then();
    }
    event flag;
};

struct semaphore_leaf : leaf {
    coro<> wait() override { co_await permits.acquire(); }
    void complete(action then) override {
        permits.release();
        then();
    }
    coro<bool> is_left() override { co_return permits.try_acquire(); }
    semaphore permits{0};
};

struct permit_leaf : leaf {
    coro<> wait() override { auto permit = co_await permits.scoped(); }
    void complete(action then) override {
        permits.release();
        then();
    }
    coro<bool> is_left() override { co_return permits.try_acquire(); }
    semaphore permits{0};
};

struct capacity_limiter_leaf : leaf {
    coro<> set_up() override { co_await limit.acquire(); }
    coro<> wait() override { co_await limit.acquire(); }
    void complete(action then) override {
        limit.release();
        then();
    }
    coro<bool> is_left() override { co_return limit.try_acquire(); }
    capacity_limiter limit{1};
};

struct token_leaf : capacity_limiter_leaf {
    coro<> wait() override { const auto token = co_await limit.scoped(); }
};

struct channel_receive_leaf : leaf {
    coro<> wait() override {
        const std::string item = co_await channel.receiver.receive();
        EXPECT_EQ(item, "item");
    }
    void complete(action then) override {
        channel.sender.send_nowait("item");
        then();
    }
    coro<bool> is_left() override { co_return channel.receiver.receive_nowait() == "item"; }
    memory_channel<std::string> channel = open_memory_channel<std::string>(1);
};

struct channel_next_leaf : channel_receive_leaf {
    coro<> wait() override {
        const auto item = co_await channel.receiver.next();
        EXPECT_EQ(item, "item");
    }
};

template <std::size_t room>
struct channel_send_leaf : leaf {
    coro<> set_up() override {
        if (room > 0) channel.sender.send_nowait("first");
        co_return;
    }
    coro<> wait() override { co_await channel.sender.send("second"); }
    void complete(action then) override {
        try {
            got = channel.receiver.receive_nowait();
        } catch (const would_block&) {
        }
        then();
    }
    /// A cancelled send has put nothing there.
    coro<bool> is_left() override { co_return got != "second" && channel.receiver.size() == 0; }
    memory_channel<std::string> channel = open_memory_channel<std::string>(room);
    std::string got;
};

struct lock_leaf : leaf {
    coro<> set_up() override { co_await mutex.acquire(); }
    coro<> wait() override { co_await mutex.acquire(); }
    void complete(action then) override {
        mutex.release();
        then();
    }
    coro<bool> is_left() override { co_return mutex.try_acquire(); }
    lock mutex;
};

struct bounded_semaphore_leaf : leaf {
    coro<> set_up() override { co_await permits.acquire(); }
    coro<> wait() override { co_await permits.acquire(); }
    void complete(action then) override {
        permits.release();
        then();
    }
    coro<bool> is_left() override { co_return permits.try_acquire(); }
    bounded_semaphore permits{1};
};

struct guard_leaf : lock_leaf {
    coro<> wait() override { const auto guard = co_await mutex.scoped(); }
};

struct condition_leaf : leaf {
    coro<> wait() override {
        const auto guard = co_await changed.scoped();
        co_await changed.wait();
    }
    void complete(action then) override {
        if (changed.try_acquire()) {
            changed.notify();
            changed.release();
        }  // else the one who was cancelled has it, to throw
        then();
    }
    coro<bool> is_left() override { co_return changed.try_acquire(); }
    condition changed;
};

struct barrier_leaf : leaf {
    coro<> pass() { co_await door.wait(); }
    coro<> set_up() override {
        create_task(pass());
        co_await sleep(0s);
    }
    coro<> wait() override { co_await door.wait(); }
    void complete(action then) override {
        after = std::move(then);
        auto last = [this]() -> coro<> {
            co_await door.wait();
            after();
        };
        spawn(last);
    }
    coro<bool> is_left() override {
        co_await sleep(0s);
        co_return door.n_waiting() == 2;
    }
    barrier door{3};
    action after;
};

template <template <class> class Queue>
struct get_leaf : leaf {
    coro<> wait() override {
        const std::string item = co_await items.get();
        EXPECT_EQ(item, "item");
    }
    void complete(action then) override {
        items.put_nowait("item");
        then();
    }
    coro<bool> is_left() override { co_return items.try_get() == "item"; }
    Queue<std::string> items{1};
};
template <class T>
using by_priority = priority_queue<T>;

struct next_leaf : get_leaf<queue> {
    coro<> wait() override {
        const auto item = co_await items.next();
        EXPECT_EQ(item, "item");
    }
};

template <template <class> class Queue>
struct put_leaf : leaf {
    coro<> set_up() override { co_await items.put("first"); }
    coro<> wait() override { co_await items.put("second"); }
    void complete(action then) override {
        EXPECT_EQ(items.get_nowait(), "first");
        then();
    }
    coro<bool> is_left() override { co_return items.empty(); }
    Queue<std::string> items{1};
};

struct join_leaf : leaf {
    coro<> set_up() override { co_await items.put("item"); }
    coro<> wait() override { co_await items.join(); }
    void complete(action then) override {
        items.task_done();
        then();
    }
    queue<std::string> items{1};
};

/// What comes from a queue of threads comes through the inbox, so it is complete when a call behind it runs.
struct thread_get_leaf : leaf {
    coro<> wait() override {
        const std::string item = co_await items.get_async();
        EXPECT_EQ(item, "item");
    }
    void complete(action then) override {
        items.put_nowait("item");
        get_running_loop().call_soon_threadsafe(std::move(then));
    }
    coro<bool> is_left() override { co_return items.try_get() == "item"; }
    thread_queue<std::string> items{1};
};

struct thread_next_leaf : thread_get_leaf {
    coro<> wait() override {
        const auto item = co_await items.next_async();
        EXPECT_EQ(item, "item");
    }
};

struct thread_put_leaf : leaf {
    coro<> set_up() override { co_await items.put_async("first"); }
    coro<> wait() override { co_await items.put_async("second"); }
    void complete(action then) override {
        EXPECT_EQ(items.get_nowait(), "first");
        get_running_loop().call_soon_threadsafe(std::move(then));
    }
    coro<bool> is_left() override { co_return items.empty(); }
    thread_queue<std::string> items{1};
};

struct task_leaf : leaf {
    coro<> set_up() override {
        inner = create_task(body());
        inner.add_done_callback([this] {
            if (after) after();
        });
        co_await sleep(0s);
    }
    coro<> body() { co_await flag.wait(); }
    coro<> wait() override { co_await inner; }
    void complete(action then) override {
        after = std::move(then);
        flag.set();
    }
    event flag;
    task<> inner;
    action after;
};

/// A task that goes on when who waits for it is cancelled.
struct watched_task_leaf : task_leaf {
    coro<bool> is_left() override {
        co_await inner;
        co_await sleep(0s);  // its callback
        co_return true;
    }
};

struct wait_leaf : watched_task_leaf {
    coro<> wait() override {
        const std::vector<task<>> all{inner};
        const auto result = co_await tercet::asyncio::wait(all);
        EXPECT_EQ(result.done.size(), 1U);
    }
};

struct as_completed_leaf : watched_task_leaf {
    coro<> wait() override {
        const std::vector<task<>> all{inner};
        auto completions = as_completed(all);
        const auto done = co_await completions.next();
        EXPECT_TRUE(done.has_value());
    }
};

struct timeout_leaf : leaf {
    coro<> wait() override { co_await timeout(1h, held()); }
    coro<> held() { co_await flag.wait(); }
    void complete(action then) override {
        flag.set();
        then();
    }
    event flag;
};

struct task_group_leaf : leaf {
    coro<> child() {
        co_await flag.wait();
        if (after) get_running_loop().call_soon(after);
    }
    coro<> body(task_group& group) {
        group.create_task(child());
        co_return;
    }
    coro<> wait() override {
        auto opened = [this](task_group& group) -> coro<> { co_await body(group); };
        co_await with_task_group(opened);
    }
    void complete(action then) override {
        after = std::move(then);
        flag.set();
    }
    event flag;
    action after;
};

struct start_leaf : leaf {
    coro<> child(task_status<int> status) {
        co_await flag.wait();
        if (after) get_running_loop().call_soon(after);
        status.started(5);
    }
    coro<> wait() override {
        auto opened = [this](task_group& group) -> coro<> {
            auto starts = [this](task_status<int> status) -> coro<> { co_await child(std::move(status)); };
            const int value = co_await group.start<int>(starts);
            EXPECT_EQ(value, 5);
        };
        co_await with_task_group(opened);
    }
    void complete(action then) override {
        after = std::move(then);
        flag.set();
    }
    event flag;
    action after;
};

struct joined_future_leaf : leaf {
    coro<> wait() override { co_await joined_future(std::move(result)); }
    void complete(action then) override {
        if (source.set_running_or_notify_cancel()) source.set_result();
        get_running_loop().call_soon_threadsafe(std::move(then));
    }
    tercet::promise<void> source;
    tercet::future<void> result = source.get_future();
};

struct gather_leaf : leaf {
    coro<> body() {
        co_await flag.wait();
        if (after) get_running_loop().call_soon(after);
    }
    coro<> wait() override { co_await gather(body()); }
    void complete(action then) override {
        after = std::move(then);
        flag.set();
    }
    event flag;
    action after;
};

struct future_leaf : leaf {
    coro<> wait() override { co_await result; }
    void complete(action then) override {
        source.set_result();
        get_running_loop().call_soon_threadsafe(std::move(then));
    }
    coro<bool> is_left() override { co_return result.done() && !result.cancelled(); }
    tercet::promise<void> source;
    tercet::future<void> result = source.get_future();
};

}  // namespace leaves
