// One suite for every executor: what is promised of one is promised of all.

#include <tercet/futures.hpp>
#include <tercet/multiprocessing.hpp>
#include <tercet/threading.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <fstream>
#include <map>
#include <optional>
#include <ranges>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <system_error>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include "error_text.hpp"
#include "multiprocessing/process_probe.hpp"
#include "sanitizers.hpp"

namespace {

using namespace std::chrono_literals;
using namespace tercet;

struct point {
    int x = 0;
    double y = 0;
    std::string name;
    friend bool operator==(const point&, const point&) = default;
};

int add(int a, int b) { return a + b; }
void nothing() {}
point move_right(point from, int by) { return {from.x + by, from.y, from.name + "'"}; }
std::map<std::string, std::vector<int>> count(const std::vector<std::string>& words) {
    std::map<std::string, std::vector<int>> places;
    for (int i = 0; i < static_cast<int>(words.size()); ++i) places[words[static_cast<std::size_t>(i)]].push_back(i);
    return places;
}
int fail_at(int value, int bad) {
    if (value == bad) throw std::out_of_range("item " + std::to_string(value));
    return value;
}
void refuse() { throw std::system_error(ECONNREFUSED, std::generic_category(), "connect 127.0.0.1:1"); }
void time_out() { throw timeout_error("too slow"); }
auto ones() {
    return std::views::iota(0) | std::views::transform([](int) { return 1; });
}
void be_cancelled() { throw cancelled_error("by a higher power"); }

using multiprocessing::signpost;

/// Says where it is, then waits until the test lets it go on.
int pass(const std::string& in, const std::string& out) {
    signpost::write(in, 1);
    return signpost::read(out);
}
int take_too_long() {
    std::this_thread::sleep_for(100ms);
    return 1;
}
/// Notes in a file that it was called, and succeeds the third time.
std::size_t third_time_lucky(const std::string& path) {
    std::ofstream(path, std::ios::app) << '.';
    std::string calls;
    std::getline(std::ifstream(path), calls);
    if (calls.size() < 3) throw std::out_of_range("call " + std::to_string(calls.size()));
    return calls.size();
}
void note(const std::string& path) { std::ofstream(path, std::ios::app) << '.'; }
void pass_and_note(const std::string& in, const std::string& out, const std::string& path) {
    pass(in, out);
    note(path);
}
int pass_at(int item, int gate, const std::string& in, const std::string& out) {
    return item == gate ? pass(in, out) : item;
}

/// A pool of processes that start in another way than usual.
template <multiprocessing::start_method Method>
class processes_by : public multiprocessing::process_pool_executor {
public:
    explicit processes_by(std::size_t max_workers)
        : process_pool_executor({.max_workers = max_workers, .start_method = Method}) {}
};
using spawned_processes = processes_by<multiprocessing::start_method::spawn>;
using forked_processes = processes_by<multiprocessing::start_method::fork>;

template <class Executor>
class executors : public testing::Test {
public:
    Executor pool = make();

protected:
    void SetUp() override {
        if ((is_under_address_sanitizer || is_under_thread_sanitizer) && std::is_same_v<Executor, forked_processes>)
            GTEST_SKIP() << "a copy of a process with threads may find a lock of the sanitizer taken";
    }

private:
    static Executor make() {
        if constexpr (std::is_same_v<Executor, sequential_executor>)
            return Executor();
        else
            return Executor(2);
    }
};

template <class Executor>
inline constexpr bool is_sequential = std::is_same_v<Executor, sequential_executor>;
template <class Executor>
inline constexpr bool is_process_pool = std::is_base_of_v<multiprocessing::process_pool_executor, Executor>;

/// A file that calls write into, wherever they run.
struct notes {
    explicit notes(const std::string& name)
        : path(testing::TempDir() + "tercet-" + name + "-" + std::to_string(::getpid())) {}
    notes(const notes&) = delete;
    notes& operator=(const notes&) = delete;
    ~notes() { std::remove(path.c_str()); }
    std::size_t count() const {
        std::string all;
        std::getline(std::ifstream(path), all);
        return all.size();
    }
    std::string path;
};

struct names {
    template <class Executor>
    static std::string GetName(int) {
        if (std::is_same_v<Executor, sequential_executor>) return "sequential";
        if (std::is_same_v<Executor, threading::thread_pool_executor>) return "threads";
        if (std::is_same_v<Executor, spawned_processes>) return "spawned_processes";
        return std::is_same_v<Executor, forked_processes> ? "forked_processes" : "processes";
    }
};
using all_executors = testing::Types<sequential_executor, threading::thread_pool_executor,
                                     multiprocessing::process_pool_executor, spawned_processes, forked_processes>;
TYPED_TEST_SUITE(executors, all_executors, names);

TYPED_TEST(executors, satisfy_the_concept) { static_assert(executor<TypeParam>); }

TYPED_TEST(executors, return_what_the_call_returns) {
    EXPECT_EQ(this->pool.submit(add, 2, 3).result(), 5);
    EXPECT_EQ(this->pool.submit(&add, 2, 3).result(), 5);
    EXPECT_EQ(this->pool.submit([](int a) { return a * a; }, 12).result(), 144);
    this->pool.submit(nothing).result();
}

TYPED_TEST(executors, carry_aggregates_and_containers) {
    EXPECT_EQ(this->pool.submit(move_right, point{1, 2.5, "a"}, 3).result(), (point{4, 2.5, "a'"}));
    const auto places = this->pool.submit(count, std::vector<std::string>{"b", "a", "b"}).result();
    EXPECT_THAT(places.at("b"), testing::ElementsAre(0, 2));
    EXPECT_THAT(places.at("a"), testing::ElementsAre(1));
}

TYPED_TEST(executors, keep_the_type_of_an_exception) {
    EXPECT_THROW(this->pool.submit(fail_at, 1, 1).result(), std::out_of_range);
    EXPECT_THROW(this->pool.submit(time_out).result(), timeout_error);
    EXPECT_THROW(this->pool.submit(be_cancelled).result(), cancelled_error);
    try {
        this->pool.submit(refuse).result();
        FAIL() << "nothing was thrown";
    } catch (const std::system_error& error) {
        EXPECT_EQ(error.code(), std::errc::connection_refused);
        EXPECT_STREQ(error.what(), "connect 127.0.0.1:1: Connection refused");
    }
}

TYPED_TEST(executors, go_on_after_a_call_that_throws) {
    EXPECT_THROW(this->pool.submit(fail_at, 1, 1).result(), std::out_of_range);
    EXPECT_EQ(this->pool.submit(add, 1, 1).result(), 2);
}

TYPED_TEST(executors, map_in_the_order_of_the_input) {
    std::vector<int> results;
    for (auto& each : this->pool.map(add, std::views::iota(0, 100), std::views::iota(1))) results.push_back(each);
    ASSERT_EQ(results.size(), 100U);
    for (int i = 0; i < 100; ++i) EXPECT_EQ(results[static_cast<std::size_t>(i)], 2 * i + 1);
}

TYPED_TEST(executors, map_throws_at_the_place_of_the_item_that_throws) {
    std::vector<int> results;
    EXPECT_THROW(
        {
            for (auto& each : this->pool.map(fail_at, std::views::iota(0, 10), std::vector<int>(10, 3)))
                results.push_back(each);
        },
        std::out_of_range);
    EXPECT_THAT(results, testing::ElementsAre(0, 1, 2));
}

TYPED_TEST(executors, as_completed_and_wait_take_their_futures) {
    std::vector<future<int>> all;
    for (int i = 0; i < 20; ++i) all.push_back(this->pool.submit(add, i, 0));
    int sum = 0;
    for (auto& each : as_completed(all, 30s)) sum += each.result();
    EXPECT_EQ(sum, 190);
    EXPECT_EQ(wait(all).done.size(), 20U);
}

TYPED_TEST(executors, run_callbacks_when_a_call_is_done) {
    promise<int> seen;
    auto result = seen.get_future();
    auto work = this->pool.submit(add, 20, 1);
    work.add_done_callback([&] { seen.set_result(work.result() * 2); });
    EXPECT_EQ(result.result(30s), 42);
}

TYPED_TEST(executors, refuse_work_after_shutdown_and_finish_what_they_have) {
    std::vector<future<int>> all;
    for (int i = 0; i < 50; ++i) all.push_back(this->pool.submit(add, i, i));
    this->pool.shutdown();
    for (int i = 0; i < 50; ++i) EXPECT_EQ(all[static_cast<std::size_t>(i)].result(0s), 2 * i);
    EXPECT_THROW(static_cast<void>(this->pool.submit(add, 1, 1)), executor_shutdown);
    this->pool.shutdown();
}

TYPED_TEST(executors, say_how_many_workers_they_may_have) { EXPECT_GE(this->pool.max_workers(), 1U); }

TYPED_TEST(executors, take_options_for_a_call) {
    EXPECT_EQ(this->pool.submit({.timeout = 1h, .deadline = 1h, .priority = 2, .retries = 1, .name = "sum"}, add, 2, 3)
                  .result(),
              5);
    this->pool.submit({.name = "nothing"}, nothing).result();
    EXPECT_EQ(this->pool
                  .submit(
                      {}, [](int a) { return a * a; }, 12)
                  .result(),
              144);
    EXPECT_THROW(this->pool.submit({.name = "bad"}, fail_at, 1, 1).result(), std::out_of_range);
}

TYPED_TEST(executors, fail_a_call_that_takes_longer_than_its_timeout_by_its_name) {
    auto late = this->pool.submit({.timeout = 5ms, .name = "rates"}, take_too_long);
    EXPECT_THROW(late.result(), timeout_error);
    EXPECT_THAT(text_of(late), testing::HasSubstr("'rates' took longer than it may"));
    EXPECT_EQ(this->pool.submit(add, 1, 2).result(), 3);
}

TYPED_TEST(executors, do_not_begin_a_call_after_its_deadline) {
    const notes written("written");
    auto late = this->pool.submit({.deadline = 0s, .name = "rates"}, note, written.path);
    EXPECT_THROW(late.result(), timeout_error);
    EXPECT_THAT(text_of(late), testing::HasSubstr("'rates' had not begun in time"));
    this->pool.shutdown();
    EXPECT_EQ(written.count(), 0U);
}

TYPED_TEST(executors, repeat_a_call_that_throws_as_often_as_asked) {
    const notes written("written");
    EXPECT_EQ(this->pool.submit({.retries = 2}, third_time_lucky, written.path).result(), 3U);
    EXPECT_EQ(written.count(), 3U);
    const notes others("others");
    auto failed = this->pool.submit({.retries = 1}, third_time_lucky, others.path);
    EXPECT_THROW(failed.result(), std::out_of_range);
    EXPECT_EQ(text_of(failed), "call 2");
    EXPECT_EQ(others.count(), 2U);
}

TYPED_TEST(executors, keep_the_type_of_an_exception_through_retries) {
    EXPECT_THROW(this->pool.submit({.retries = 2}, time_out).result(), timeout_error);
    EXPECT_THROW(this->pool.submit({.retries = 2}, refuse).result(), std::system_error);
}

TYPED_TEST(executors, give_a_stop_token_to_a_call_that_takes_one) {
    EXPECT_EQ(this->pool.submit([](std::stop_token stop, int a) { return stop.stop_possible() ? a : 0; }, 7).result(),
              7);
    const auto seven = [](std::stop_token stop, int a) { return stop.stop_possible() ? a : 0; };
    EXPECT_EQ(this->pool.submit({.name = "seven"}, seven, 7).result(), 7);
    std::vector<int> results;
    for (auto& each : this->pool.map(seven, std::vector{1, 2, 3})) results.push_back(each);
    EXPECT_THAT(results, testing::ElementsAre(1, 2, 3));
}

TYPED_TEST(executors, ask_a_running_call_that_takes_a_stop_token_to_stop) {
    if constexpr (is_sequential<TypeParam>) {
        GTEST_SKIP() << "there is none";
    } else {
        auto endless = this->pool.submit([](std::stop_token stop) {
            while (!stop.stop_requested()) std::this_thread::yield();
            return 1;
        });
        while (!endless.running()) std::this_thread::yield();
        EXPECT_FALSE(endless.cancel());
        EXPECT_EQ(endless.result(), 1);
    }
}

TYPED_TEST(executors, cancel_what_has_not_started_at_a_shutdown_that_is_to_do_so) {
    if constexpr (is_sequential<TypeParam>) {
        GTEST_SKIP() << "nothing waits";
    } else {
        const signpost in;
        const signpost out;
        std::vector<future<int>> running;
        for (int i = 0; i < 2; ++i) running.push_back(this->pool.submit(pass, in.path(), out.path()));
        in.next();
        in.next();
        std::vector<future<int>> queued;
        for (int i = 0; i < 20; ++i) queued.push_back(this->pool.submit(add, i, 1));
        this->pool.shutdown({.wait = false, .cancel_futures = true});
        for (auto& each : queued) EXPECT_THROW(each.result(), cancelled_error);
        EXPECT_THROW(static_cast<void>(this->pool.submit(add, 1, 1)), executor_shutdown);
        for (auto& each : running) EXPECT_FALSE(each.done());
        signpost::write(out.path(), 5);
        signpost::write(out.path(), 5);
        for (auto& each : running) EXPECT_EQ(each.result(), 5);
    }
}

TYPED_TEST(executors, finish_their_work_after_a_shutdown_that_does_not_wait) {
    if constexpr (is_sequential<TypeParam>) {
        GTEST_SKIP() << "nothing waits";
    } else {
        const signpost in;
        const signpost out;
        auto running = this->pool.submit(pass, in.path(), out.path());
        in.next();
        std::vector<future<int>> queued;
        for (int i = 0; i < 20; ++i) queued.push_back(this->pool.submit(add, i, 1));
        this->pool.shutdown({.wait = false});
        EXPECT_FALSE(running.done());
        signpost::write(out.path(), 1);
        for (int i = 0; i < 20; ++i) EXPECT_EQ(queued[static_cast<std::size_t>(i)].result(), i + 1);
        EXPECT_EQ(running.result(), 1);
    }
}

TYPED_TEST(executors, say_so_when_a_shutdown_takes_longer_than_it_may) {
    if constexpr (is_sequential<TypeParam>) {
        GTEST_SKIP() << "it never waits";
    } else {
        const signpost in;
        const signpost out;
        auto running = this->pool.submit(pass, in.path(), out.path());
        in.next();
        EXPECT_THROW(this->pool.shutdown({.timeout = 1ms}), timeout_error);
        signpost::write(out.path(), 1);
        this->pool.shutdown();
        EXPECT_EQ(running.result(0s), 1);
    }
}

TYPED_TEST(executors, map_in_chunks_in_the_order_of_the_input) {
    for (const std::size_t chunk : {0U, 1U, 7U, 1'000U}) {
        int expected = 0;
        for (auto& each : this->pool.map({.chunk_size = chunk}, add, std::views::iota(0, 3'000), std::views::iota(0)))
            ASSERT_EQ(each, 2 * expected++);
        EXPECT_EQ(expected, 3'000);
    }
}

TYPED_TEST(executors, map_an_endless_range) {
    for (const std::size_t chunk : {0U, 5U}) {
        int expected = 0;
        for (auto& each : this->pool.map({.chunk_size = chunk}, add, std::views::iota(0), ones())) {
            ASSERT_EQ(each, 1 + expected++);
            if (expected == 2'000) break;
        }
    }
}

TYPED_TEST(executors, map_loses_no_result_of_a_chunk_in_which_an_item_throws) {
    std::vector<int> results;
    auto mapped = this->pool.map({.chunk_size = 5}, fail_at, std::views::iota(0, 10), std::vector<int>(10, 3));
    for (auto at = mapped.begin(); at != mapped.end(); ++at) {
        try {
            results.push_back(*at);
        } catch (const std::out_of_range& error) {
            EXPECT_STREQ(error.what(), "item 3");
            results.push_back(-1);
        }
    }
    EXPECT_THAT(results, testing::ElementsAre(0, 1, 2, -1, 4, 5, 6, 7, 8, 9));
}

TYPED_TEST(executors, map_walks_past_results_that_nobody_looks_at) {
    int walked = 0;
    auto mapped = this->pool.map(fail_at, std::views::iota(0, 300), std::views::iota(0));
    for (auto at = mapped.begin(); at != mapped.end(); ++at) ++walked;
    EXPECT_EQ(walked, 300);
}

TYPED_TEST(executors, map_throws_when_its_time_is_over_after_the_results_before) {
    if constexpr (is_sequential<TypeParam>) {
        GTEST_SKIP() << "a result is there when it can be asked for";
    } else {
        const signpost in;
        const signpost out;
        std::vector<int> results;
        auto mapped =
            this->pool.map({.timeout = 1s, .chunk_size = 1}, pass_at, std::views::iota(0, 4), std::vector<int>(4, 2),
                           std::vector<std::string>(4, in.path()), std::vector<std::string>(4, out.path()));
        EXPECT_THROW(
            {
                for (auto& each : mapped) results.push_back(each);
            },
            timeout_error);
        EXPECT_THAT(results, testing::ElementsAre(0, 1));
        signpost::write(out.path(), 1);
    }
}

TYPED_TEST(executors, map_begins_nothing_more_when_it_is_left) {
    if constexpr (is_sequential<TypeParam>) {
        GTEST_SKIP() << "nothing waits";
    } else {
        const signpost in;
        const signpost out;
        const notes written("written");
        std::vector<future<int>> running;
        for (int i = 0; i < 2; ++i) running.push_back(this->pool.submit(pass, in.path(), out.path()));
        in.next();
        in.next();
        for (const std::size_t chunk : {0U, 3U})
            static_cast<void>(this->pool.map({.chunk_size = chunk}, note, std::vector<std::string>(20, written.path)));
        signpost::write(out.path(), 1);
        signpost::write(out.path(), 1);
        this->pool.shutdown();
        EXPECT_EQ(written.count(), 0U);
    }
}

TYPED_TEST(executors, map_that_is_left_when_its_time_is_over_begins_nothing_more_and_lets_the_running_end) {
    if constexpr (is_sequential<TypeParam>) {
        GTEST_SKIP() << "nothing waits";
    } else {
        const signpost in;
        const signpost out;
        const notes written("written");
        {
            auto mapped = this->pool.map(
                {.timeout = 1ms, .chunk_size = 1}, pass_and_note, std::vector<std::string>(20, in.path()),
                std::vector<std::string>(20, out.path()), std::vector<std::string>(20, written.path));
            in.next();
            in.next();
            EXPECT_THROW(*mapped.begin(), timeout_error);
        }
        signpost::write(out.path(), 1);
        signpost::write(out.path(), 1);
        this->pool.shutdown();
        EXPECT_EQ(written.count(), 2U);
    }
}

TYPED_TEST(executors, let_calls_submit_calls) {
    if constexpr (is_process_pool<TypeParam>) {
        GTEST_SKIP() << "the pool is in another process than its calls";
    } else {
        const auto outer = [this](int a) { return this->pool.submit(add, a, 1).result() + 1; };
        std::vector<future<int>> all;
        for (int i = 0; i < 20; ++i) all.push_back(this->pool.submit(outer, i));
        for (int i = 0; i < 20; ++i) EXPECT_EQ(all[static_cast<std::size_t>(i)].result(), i + 2);
        int sum = 0;
        for (auto& each : this->pool.map(outer, std::views::iota(0, 100))) sum += each;
        EXPECT_EQ(sum, 4950 + 200);
    }
}

TEST(executors_together, their_futures_mix_in_one_wait) {
    sequential_executor here;
    threading::thread_pool_executor threads(1);
    multiprocessing::process_pool_executor processes(1);
    std::vector<future<int>> all;
    all.push_back(here.submit(add, 1, 0));
    all.push_back(threads.submit(add, 2, 0));
    all.push_back(processes.submit(add, 3, 0));
    int sum = 0;
    for (auto& each : as_completed(all, 30s)) sum += each.result();
    EXPECT_EQ(sum, 6);
}

}  // namespace
