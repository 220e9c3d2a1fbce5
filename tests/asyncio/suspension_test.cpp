// The one rule of every wait: it is over by its value or by a cancellation, whichever comes first, and nothing is lost.
// The same two tests for each kind of wait there is.

#include <tercet/asyncio.hpp>
#include <tercet/futures/future.hpp>

#include <gtest/gtest.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <csignal>
#include <functional>
#include <latch>
#include <memory>
#include <string>
#include <vector>

#include "asyncio/blocking_call.hpp"
#include "asyncio/file_threads.hpp"

using namespace std::chrono_literals;
using namespace tercet::asyncio;
using tercet::cancelled_error;

namespace {

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

/// A stream whose other end is a plain descriptor. What becomes ready is seen in the next poll, in which the inbox
/// comes first.
struct stream_leaf : leaf {
    coro<> set_up() override {
        std::array<int, 2> ends{};
        EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends.data()), 0);
        peer = ends[1];
        stream = stream_pointer(new stream_socket(get_running_loop(), ends[0], {}, stream_socket::default_limit));
        stream->watch();
        co_return;
    }
    ~stream_leaf() override { ::close(peer); }

    void fill() {
        stream_writer writer(stream);
        writer.set_write_buffer_limits(1, 0);
        const std::string block(65536, 'x');
        while (writer.write_buffer_size() == 0) writer.write(block);
        held = std::make_unique<stream_writer>(std::move(writer));
    }
    void drain_peer() const {
        std::string block(1 << 20, '\0');
        while (::recv(peer, block.data(), block.size(), 0) > 0) {
        }
    }

    int peer = -1;
    stream_pointer stream;
    std::unique_ptr<stream_writer> held;
};

struct read_leaf : stream_leaf {
    coro<> wait() override {
        const std::string data = co_await stream_reader(stream).read(10);
        EXPECT_EQ(data, "hello");
    }
    void complete(action then) override {
        EXPECT_EQ(::write(peer, "hello", 5), 5);
        get_running_loop().call_soon_threadsafe(std::move(then));
    }
    coro<bool> is_left() override {
        const std::string data = co_await stream_reader(stream).read_exactly(5);
        co_return data == "hello";
    }
};

struct read_some_leaf : read_leaf {
    coro<> wait() override {
        std::array<char, 10> data{};
        const std::size_t count = co_await stream_reader(stream).read_some(data);
        EXPECT_EQ(std::string(data.data(), count), "hello");
    }
};

struct drain_leaf : stream_leaf {
    coro<> set_up() override {
        co_await stream_leaf::set_up();
        fill();
    }
    coro<> wait() override { co_await held->drain(); }
    void complete(action then) override {
        drain_peer();
        get_running_loop().call_soon_threadsafe(std::move(then));
    }
};

struct wait_closed_leaf : stream_leaf {
    coro<> set_up() override {
        co_await stream_leaf::set_up();
        fill();
        held->close();
    }
    coro<> wait() override { co_await held->wait_closed(); }
    void complete(action then) override {
        drain_peer();
        get_running_loop().call_soon_threadsafe(std::move(then));
    }
};

struct server_closed_leaf : leaf {
    static coro<> handle(stream_reader, stream_writer) { co_return; }
    coro<> set_up() override {
        auto made = co_await start_server(&handle, "127.0.0.1", 0);
        listening = std::make_unique<server>(std::move(made));
    }
    coro<> wait() override { co_await listening->wait_closed(); }
    void complete(action then) override {
        listening->close();
        then();
    }
    std::unique_ptr<server> listening;
};

/// Signals, as what comes from other threads, come in through the inbox.
struct signal_leaf : leaf {
    coro<> wait() override {
        const int number = co_await set.next();
        EXPECT_EQ(number, SIGUSR1);
    }
    void complete(action then) override {
        ::raise(SIGUSR1);
        get_running_loop().call_soon_threadsafe(std::move(then));
    }
    coro<bool> is_left() override {
        const int number = co_await set.next();
        co_return number == SIGUSR1;
    }
    signal_set set{SIGUSR1};
};

struct subprocess_leaf : leaf {
    coro<> wait() override {
        const int code = co_await child.wait();
        EXPECT_EQ(code, 0);
    }
    void complete(action then) override {
        child.stdin_writer().close();
        siginfo_t how{};
        EXPECT_EQ(::waitid(P_PID, static_cast<id_t>(child.pid()), &how, WEXITED | WNOWAIT), 0);
        get_running_loop().call_soon_threadsafe(std::move(then));
    }
    coro<bool> is_left() override {
        const int code = co_await child.wait();
        co_return code == 0;
    }
    subprocess child = create_subprocess_exec("cat", {}, {.stdin_ = stdio::pipe});
};

struct descriptor_leaf : leaf {
    ~descriptor_leaf() override { ::close(source); }
    coro<> wait() override { co_await readable(source); }
    void complete(action then) override {
        EXPECT_EQ(::eventfd_write(source, 1), 0);
        // The readiness is seen in the next poll, after the inbox, and comes by a callback.
        event_loop& loop = get_running_loop();
        loop.call_soon_threadsafe([&loop, then = std::move(then)] { loop.call_soon(then); });
    }
    coro<bool> is_left() override {
        co_await readable(source);
        co_return true;
    }
    int source = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
};

socket_address abstract_address(const char* name) {
    return socket_address::from_path(std::string(1, '\0') + "tercet-" + name + std::to_string(::getpid()));
}

struct receive_from_leaf : leaf {
    receive_from_leaf() { EXPECT_EQ(::connect(peer, address.data(), address.size()), 0); }
    ~receive_from_leaf() override { ::close(peer); }
    coro<> wait() override {
        const datagram got = co_await own.receive_from();
        EXPECT_EQ(got.data, "hello");
    }
    void complete(action then) override {
        EXPECT_EQ(::send(peer, "hello", 5, 0), 5);
        get_running_loop().call_soon_threadsafe(std::move(then));
    }
    coro<bool> is_left() override {
        const datagram got = co_await own.receive_from();
        co_return got.data == "hello";
    }
    socket_address address = abstract_address("own");
    datagram_socket own = open_datagram(address, {});
    int peer = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
};

struct receive_into_leaf : receive_from_leaf {
    coro<> wait() override {
        std::array<char, 10> data{};
        const received_datagram got = co_await own.receive_into(data);
        EXPECT_EQ(std::string(data.data(), got.size), "hello");
    }
};

struct send_datagram_leaf : leaf {
    coro<> set_up() override {
        EXPECT_EQ(::bind(peer, address.data(), address.size()), 0);
        own = std::make_unique<datagram_socket>(open_datagram({}, address));
        const int other = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        while (::sendto(other, "x", 1, 0, address.data(), address.size()) == 1) {
        }
        ::close(other);
        co_return;
    }
    ~send_datagram_leaf() override { ::close(peer); }
    coro<> wait() override { co_await own->send("hello"); }
    void complete(action then) override {
        receive_all();
        get_running_loop().call_soon_threadsafe(std::move(then));
    }
    coro<bool> is_left() override { co_return !receive_all(); }
    /// Whether a message of ours was among them.
    bool receive_all() const {
        bool is_ours = false;
        std::array<char, 5> data{};
        for (ssize_t count = 0; (count = ::recv(peer, data.data(), data.size(), 0)) > 0;) is_ours |= count == 5;
        return is_ours;
    }
    socket_address address = abstract_address("peer");
    int peer = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    std::unique_ptr<datagram_socket> own;
};

/// A call on another thread. It can be cancelled only before it begins, so all threads are busy at first.
struct blocking_leaf : leaf {
    coro<> set_up() override {
        auto hold = [this]() -> coro<> {
            auto call = blocking_call_of([this] {
                entered.count_down();
                gate.wait();
                return 0;
            });
            co_await call;
        };
        for (std::size_t i = 0; i < file_threads::max_threads; ++i) holders.push_back(spawn(hold));
        co_await sleep(0s);
        entered.wait();
    }
    coro<> wait() override {
        is_waiting = true;
        auto call = blocking_call_of([this] {
            is_made = true;
            made.count_down();
            return 1;
        });
        try {
            co_await call;
        } catch (const cancelled_error&) {
            is_waiting = false;
            throw;
        }
    }
    void complete(action then) override {
        gate.count_down();
        if (is_waiting && !is_cancelled) made.wait();
        get_running_loop().call_soon_threadsafe(std::move(then));
    }
    void cancelled() override { is_cancelled = true; }
    coro<bool> is_left() override {
        for (task<>& each : holders) co_await each;
        co_return !is_made;
    }
    std::latch entered{file_threads::max_threads};
    std::latch gate{1};
    std::latch made{1};
    std::atomic<bool> is_made = false;
    bool is_waiting = false;
    bool is_cancelled = false;
    std::vector<task<>> holders;
};

template <class Leaf>
class every_wait : public testing::Test {};

using every_leaf =
    testing::Types<sleep_leaf, event_leaf, semaphore_leaf, permit_leaf, bounded_semaphore_leaf, lock_leaf, guard_leaf,
                   condition_leaf, barrier_leaf, get_leaf<queue>, get_leaf<lifo_queue>, get_leaf<by_priority>,
                   next_leaf, put_leaf<queue>, put_leaf<lifo_queue>, put_leaf<by_priority>, join_leaf, thread_get_leaf,
                   thread_next_leaf, thread_put_leaf, task_leaf, wait_leaf, as_completed_leaf, timeout_leaf,
                   task_group_leaf, start_leaf, gather_leaf, future_leaf, joined_future_leaf, read_leaf, read_some_leaf,
                   drain_leaf, wait_closed_leaf, server_closed_leaf, signal_leaf, subprocess_leaf, descriptor_leaf,
                   receive_from_leaf, receive_into_leaf, send_datagram_leaf, blocking_leaf>;
TYPED_TEST_SUITE(every_wait, every_leaf);

coro<> wait_and_note(leaf& waited, bool& is_delivered, bool& next_wait_threw) {
    co_await waited.wait();
    is_delivered = true;
    try {
        co_await sleep(1h);
    } catch (const cancelled_error&) {
        next_wait_threw = true;
        throw;
    }
}

coro<> join(task<> ended) {
    try {
        co_await ended;
    } catch (const cancelled_error&) {
    }
}

}  // namespace

TYPED_TEST(every_wait, that_completed_delivers_although_it_is_cancelled_in_the_same_turn) {
    auto main = []() -> coro<> {
        TypeParam waited;
        co_await waited.set_up();
        bool is_delivered = false;
        bool next_wait_threw = false;
        task<> waiter = create_task(wait_and_note(waited, is_delivered, next_wait_threw));
        for (int i = 0; i < 5; ++i) co_await sleep(0s);
        EXPECT_FALSE(is_delivered);
        waited.complete([&] {
            EXPECT_FALSE(is_delivered);
            waiter.cancel();
        });
        co_await join(waiter);
        EXPECT_TRUE(is_delivered);
        EXPECT_TRUE(next_wait_threw);
        EXPECT_TRUE(waiter.cancelled());
    };
    run(main());
}

TYPED_TEST(every_wait, that_was_cancelled_takes_nothing_although_it_completes_in_the_same_turn) {
    auto main = []() -> coro<> {
        TypeParam waited;
        co_await waited.set_up();
        bool is_delivered = false;
        bool next_wait_threw = false;
        task<> waiter = create_task(wait_and_note(waited, is_delivered, next_wait_threw));
        for (int i = 0; i < 5; ++i) co_await sleep(0s);
        waiter.cancel();
        waited.cancelled();
        waited.complete([] {});
        co_await join(waiter);
        EXPECT_FALSE(is_delivered);
        EXPECT_TRUE(waiter.cancelled());
        const bool is_left = co_await waited.is_left();
        EXPECT_TRUE(is_left);
    };
    run(main());
}

TYPED_TEST(every_wait, in_a_task_that_is_cancelled_already_takes_nothing) {
    auto main = []() -> coro<> {
        TypeParam waited;
        co_await waited.set_up();
        bool is_delivered = false;
        bool next_wait_threw = false;
        task<> waiter = create_task(wait_and_note(waited, is_delivered, next_wait_threw));
        waiter.cancel();
        co_await join(waiter);
        EXPECT_FALSE(is_delivered);
        waited.complete([] {});
        const bool is_left = co_await waited.is_left();
        EXPECT_TRUE(is_left);
    };
    run(main());
}
