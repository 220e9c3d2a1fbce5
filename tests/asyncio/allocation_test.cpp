// Replaces operator new, to count its calls (what runs in steady state must make none) and the bytes in use, and to let
// one fail.

#include <tercet/asyncio.hpp>

#include <gtest/gtest.h>
#include <malloc.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstdlib>
#include <new>
#include <string>

#include "asyncio/stream_pair.hpp"
#include "sanitizers.hpp"

namespace {

std::atomic<long> allocations{0};
std::atomic<long> bytes_in_use{0};
constinit thread_local int successes_before_failure = -1;  // negative: none fails

}  // namespace

[[gnu::noinline]] void* operator new(std::size_t size) {
    allocations.fetch_add(1, std::memory_order_relaxed);
    const bool is_to_fail = successes_before_failure >= 0 && successes_before_failure-- == 0;
    void* const block = is_to_fail ? nullptr : std::malloc(size);
    if (!block) throw std::bad_alloc();
    bytes_in_use.fetch_add(static_cast<long>(::malloc_usable_size(block)), std::memory_order_relaxed);
    return block;
}
// Not inlined: g++ would take malloc and free for a mismatched pair of new and delete.
[[gnu::noinline]] void operator delete(void* block) noexcept {
    bytes_in_use.fetch_sub(static_cast<long>(::malloc_usable_size(block)), std::memory_order_relaxed);
    std::free(block);
}
[[gnu::noinline]] void operator delete(void* block, std::size_t) noexcept { operator delete(block); }

using namespace std::chrono_literals;
using namespace tercet::asyncio;

namespace {

coro<int> call(int value) { co_return value; }

coro<> pass(semaphore& mine, semaphore& other, int count) {
    for (int i = 0; i < count; ++i) {
        co_await mine.acquire();
        other.release();
    }
}

template <class Queue>
coro<> feed(Queue& items, int count) {
    for (int i = 0; i < count; ++i) co_await items.put(i);
}
template <class Queue>
coro<> eat(Queue& items, int count) {
    for (int i = 0; i < count; ++i) {
        const auto item = co_await items.next();
        EXPECT_TRUE(item.has_value());
        items.task_done();
    }
}
template <class Queue>
coro<> pass_through(Queue& items) {
    task<> feeder = create_task(feed(items, 20));
    task<> eater = create_task(eat(items, 20));
    co_await feeder;
    co_await eater;
    co_await items.join();
}

/// What queues allocate they keep, so these live from the first round to the last.
struct kept_queues {
    queue<int> of_one{1};
    queue<int> of_many{7};
    lifo_queue<int> newest_first{3};
    priority_queue<int> smallest_first{3};
    thread_queue<int> of_threads{3};
};

coro<> meet(barrier& door, condition& changed) {
    co_await door.wait();
    const auto guard = co_await changed.scoped();
    changed.notify_all();
}

coro<> round_of_primitives(kept_queues& queues) {
    co_await pass_through(queues.of_one);
    co_await pass_through(queues.of_many);
    co_await pass_through(queues.newest_first);
    co_await pass_through(queues.smallest_first);
    for (int i = 0; i < 3; ++i) co_await queues.of_threads.put_async(i);
    for (int i = 0; i < 3; ++i) {
        const int item = co_await queues.of_threads.get_async();
        EXPECT_EQ(item, i);
    }
    barrier door(2);
    condition changed;
    task<> other = create_task(meet(door, changed));
    {
        const auto guard = co_await changed.scoped();
        co_await door.wait();
        co_await changed.wait();
    }
    co_await other;
}

/// One round of everything.
coro<> round(stream_socket& stream, int peer) {
    for (int i = 0; i < 10; ++i) {
        const int value = co_await call(i);
        EXPECT_EQ(value, i);
        co_await sleep(0s);
        co_await sleep(1us);
        const int from_task = co_await create_task(call(i));
        EXPECT_EQ(from_task, i);
        const int in_time = co_await timeout(1s, call(i));
        EXPECT_EQ(in_time, i);
        get_running_loop().call_soon([] {});
    }
    semaphore a(1);
    semaphore b(0);
    task<> first = create_task(pass(a, b, 10));
    task<> second = create_task(pass(b, a, 10));
    co_await first;
    co_await second;
    stream.add_reference();
    const stream_reader reader{stream_pointer(&stream)};
    std::array<char, 16> room{};
    for (int i = 0; i < 10; ++i) {
        EXPECT_EQ(::send(peer, "hello", 5, MSG_NOSIGNAL), 5);
        const std::size_t count = co_await reader.read_some(room);
        EXPECT_EQ(count, 5U);
        stream.write("hello");
        EXPECT_EQ(::recv(peer, room.data(), room.size(), 0), 5);
        EXPECT_EQ(::send(peer, "hello\n", 6, MSG_NOSIGNAL), 6);
        const std::string line = co_await reader.read_line();
        EXPECT_EQ(line, "hello\n");
    }
}

}  // namespace

TEST(allocation, awaits_allocate_nothing_in_steady_state) {
    if (is_under_address_sanitizer) GTEST_SKIP() << "frames are not recycled under AddressSanitizer";
    auto main = []() -> coro<long> {
        std::array<int, 2> ends{};
        EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends.data()), 0);
        auto* const stream = new stream_socket(get_running_loop(), ends[0], {}, stream_socket::default_limit);
        const stream_pointer owner(stream);
        stream->watch();
        kept_queues queues;
        auto both = [&]() -> coro<> {
            co_await round(*stream, ends[1]);
            co_await round_of_primitives(queues);
        };
        for (int i = 0; i < 3; ++i) co_await both();
        const long before = allocations.load();
        for (int i = 0; i < 10; ++i) co_await both();
        const long made = allocations.load() - before;
        ::close(ends[1]);
        co_return made;
    };
    EXPECT_EQ(run(main()), 0);
}

TEST(allocation, a_connection_that_has_carried_much_keeps_little_while_it_is_idle) {
    auto main = []() -> coro<long> {
        stream_pair both = stream_pair::make();
        auto pass = [&](const std::string& data) -> coro<> {
            both.writer.write(data);
            const std::string same = co_await both.reader.read_exactly(data.size());
            EXPECT_TRUE(same == data);
        };
        const std::string little = "x";
        const std::string much(8 << 20, 'y');
        co_await pass(little);
        const long before = bytes_in_use.load();
        co_await pass(much);
        task<std::string> waiting = create_task(both.reader.read(1));
        co_await sleep(0s);
        const long kept = bytes_in_use.load() - before;
        both.writer.write("z");
        const std::string last = co_await waiting;
        EXPECT_EQ(last, "z");
        co_return kept;
    };
    EXPECT_LT(run(main()), 48 << 10);
}

TEST(allocation, run_coroutine_threadsafe_says_when_there_is_no_memory_to_begin) {
    auto main = []() -> coro<int> {
        event_loop& loop = get_running_loop();
        int failed = 0;
        for (int successes = 0; successes < 6; ++successes) {
            event has_begun;
            loop.call_soon_threadsafe([successes] { successes_before_failure = successes; });
            tercet::future<int> result = run_coroutine_threadsafe(call(7), loop);
            loop.call_soon_threadsafe([&has_begun] {
                successes_before_failure = -1;
                has_begun.set();
            });
            co_await has_begun.wait();
            for (int turn = 0; turn < 10; ++turn) co_await sleep(0s);
            EXPECT_TRUE(result.done());
            if (!result.done()) continue;
            try {
                EXPECT_EQ(result.result(), 7);
            } catch (const std::bad_alloc&) {
                ++failed;
            }
        }
        co_return failed;
    };
    EXPECT_GT(run(main()), 0);
}
