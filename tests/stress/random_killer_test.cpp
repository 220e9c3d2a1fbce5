#include <tercet/multiprocessing.hpp>

#include <gtest/gtest.h>
#include <stress/stress_run.hpp>

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <deque>
#include <fstream>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "multiprocessing/process_probe.hpp"
#include "sanitizers.hpp"

namespace {

using namespace std::chrono_literals;
using namespace tercet;
using namespace tercet::multiprocessing;
using clock_type = std::chrono::steady_clock;

std::uint64_t answer_to(std::uint64_t question) { return question * 3 + 1; }
std::uint64_t answer(std::uint64_t question) { return answer_to(question); }
/// Takes so long that a kill is likely to hit it.
std::uint64_t slow_answer(std::uint64_t question) {
    const auto end = clock_type::now() + 300us;
    while (clock_type::now() < end) {
    }
    return answer_to(question);
}
std::uint64_t answer_of_long(std::uint64_t question, const std::string& text) {
    return answer_to(question) + text.size();
}
std::vector<std::uint64_t> long_answer(std::uint64_t question, std::size_t size) {
    return std::vector<std::uint64_t>(size, answer_to(question));
}

/// The children of a process, by their parent's only thread.
std::size_t children_of(pid_t pid) {
    std::ifstream list("/proc/" + std::to_string(pid) + "/task/" + std::to_string(pid) + "/children");
    std::size_t count = 0;
    for (pid_t each = 0; list >> each;) ++count;
    return count;
}

/// Submits calls of some kinds, a few hundred at a time, and looks at every result.
class client {
public:
    client(process_pool_executor& pool, std::mt19937_64 choices) : pool_(pool), choices_(std::move(choices)) {}

    void run(const std::stop_token& stop) {
        while (!stop.stop_requested()) {
            for (int i = 0; i < 100; ++i) submit_one();
            if (open_.size() > 300)
                while (open_.size() > 150) finish_first();
        }
        while (!open_.empty()) finish_first();
        while (!long_.empty()) finish_long();
    }

    /// How often each future called back, once the pool has shut down.
    void expect_each_once() const {
        for (const auto& count : called_back_) ASSERT_EQ(count, 1);
    }
    std::size_t submitted() const { return called_back_.size(); }
    std::uint64_t died() const { return died_; }
    std::uint64_t done() const { return done_; }

private:
    template <class T>
    future<T> watched(future<T> work) {
        auto& count = called_back_.emplace_back(0);
        work.add_done_callback([&count] { ++count; });
        return work;
    }

    void submit_one() {
        const std::uint64_t question = choices_();
        switch (up_to(199, choices_)) {
            case 0:  // through the socket, there and back
                long_.emplace_back(question, watched(pool_.submit(long_answer, question, std::size_t{10'000})));
                if (long_.size() > 4) finish_long();
                break;
            case 1:
                open_.emplace_back(answer_to(question) + 100'000,
                                   watched(pool_.submit(answer_of_long, question, std::string(100'000, 'x'))));
                break;
            case 2:
            case 3:
            case 4:  // it may be begun again
                open_.emplace_back(answer_to(question), watched(pool_.submit({.retries = 3}, answer, question)));
                break;
            case 5:
            case 6:
            case 7:
                open_.emplace_back(answer_to(question), watched(pool_.submit(slow_answer, question)));
                break;
            case 8:
            case 9:
                open_.emplace_back(answer_to(question) + 2'000,
                                   watched(pool_.submit(answer_of_long, question, std::string(2'000, 'x'))));
                break;
            default:
                open_.emplace_back(answer_to(question), watched(pool_.submit(answer, question)));
        }
    }

    void finish_first() {
        auto [expected, work] = std::move(open_.front());
        open_.pop_front();
        try {
            EXPECT_EQ(work.result(60s), expected);
        } catch (const worker_died& death) {
            EXPECT_EQ(death.signal(), SIGKILL);
            ++died_;
        }
        ++done_;
    }
    void finish_long() {
        auto [question, work] = std::move(long_.front());
        long_.pop_front();
        try {
            EXPECT_EQ(work.result(60s), std::vector<std::uint64_t>(10'000, answer_to(question)));
        } catch (const worker_died& death) {
            EXPECT_EQ(death.signal(), SIGKILL);
            ++died_;
        }
        ++done_;
    }

    process_pool_executor& pool_;
    std::mt19937_64 choices_;
    std::deque<std::atomic<int>> called_back_;
    std::deque<std::pair<std::uint64_t, future<std::uint64_t>>> open_;
    std::deque<std::pair<std::uint64_t, future<std::vector<std::uint64_t>>>> long_;
    std::atomic<std::uint64_t> died_{0};
    std::atomic<std::uint64_t> done_{0};
};

class random_killer_under_stress : public testing::TestWithParam<start_method> {};
INSTANTIATE_TEST_SUITE_P(methods, random_killer_under_stress, testing::ValuesIn(get_all_start_methods()),
                         [](const auto& each) { return std::string(to_string(each.param)); });

TEST_P(random_killer_under_stress, costs_the_tasks_that_it_hits_and_nothing_else) {
    if (is_under_thread_sanitizer && GetParam() == start_method::fork)
        GTEST_SKIP() << "it knows no threads in a copy of a process that had several";
    stress_run run;
    const auto wait_until = [](auto is_so) {
        const auto deadline = clock_type::now() + 10s;
        while (!is_so() && clock_type::now() < deadline) std::this_thread::sleep_for(1ms);
        return is_so();
    };
    {
        process_pool_executor first({.max_workers = 1, .start_method = GetParam()});
        first.submit(answer, 1U).result();
    }
    const bool is_fork = GetParam() == start_method::fork;
    const pid_t parent_of_workers = is_fork ? ::getpid() : only_child();
    EXPECT_TRUE(wait_until([&] { return children_of(only_child()) == 0; }));
    const std::size_t fds = open_fds();
    const std::size_t fds_of_parent = open_fds(parent_of_workers);

    auto owned =
        std::make_unique<process_pool_executor>(process_pool_options{.max_workers = 3, .start_method = GetParam()});
    process_pool_executor& pool = *owned;
    client first(pool, run.choices());
    client second(pool, run.choices());
    const auto done = [&] { return first.done() + second.done(); };
    std::uint64_t kills = 0;
    double before = 0;
    double during = 0;
    double after = 0;
    {
        const std::jthread submits([&](const std::stop_token& stop) { first.run(stop); });
        const std::jthread submits_too([&](const std::stop_token& stop) { second.run(stop); });
        const auto rate_in = [&](std::chrono::milliseconds time) {
            const auto begin = clock_type::now();
            const std::uint64_t done_before = done();
            std::this_thread::sleep_for(time);
            return static_cast<double>(done() - done_before) /
                   std::chrono::duration<double>(clock_type::now() - begin).count();
        };
        before = rate_in(300ms);
        auto choices = run.choices();
        const auto begin = clock_type::now();
        const std::uint64_t done_before = done();
        while (run.goes_on()) {
            const auto pids = pool.worker_pids();
            if (!pids.empty()) {
                const pid_t victim = pids[up_to(pids.size() - 1, choices)];
                if (up_to(9, choices) == 0) kill_worker(victim, SIGSTOP);
                if (kill_worker(victim, SIGKILL)) ++kills;
            }
            std::this_thread::sleep_for(std::chrono::microseconds(up_to(10'000, choices)));
        }
        during = static_cast<double>(done() - done_before) /
                 std::chrono::duration<double>(clock_type::now() - begin).count();
        after = rate_in(300ms);
    }
    owned.reset();
    first.expect_each_once();
    second.expect_each_once();
    EXPECT_EQ(done(), first.submitted() + second.submitted());
    EXPECT_GT(kills, 0U);
    EXPECT_TRUE(kills < 500 || first.died() + second.died() > 0);  // a few may all hit workers between two calls
    EXPECT_LE(first.died() + second.died(), kills);
    EXPECT_GT(during, is_under_address_sanitizer || is_under_thread_sanitizer ? 10 : 1'000);
    EXPECT_GT(after, before / 10);  // others may have the machine, too

    EXPECT_TRUE(wait_until([&] { return open_fds() <= fds && open_fds(parent_of_workers) <= fds_of_parent; }))
        << open_fds() << " of " << fds << ", " << open_fds(parent_of_workers) << " of " << fds_of_parent;
    EXPECT_FALSE(has_zombie());
    EXPECT_EQ(is_fork ? 0U : children_of(parent_of_workers), 0U);
    std::printf("%zu calls, %llu kills, %llu calls died; per second: %.0f before, %.0f meanwhile, %.0f after\n",
                first.submitted() + second.submitted(), static_cast<unsigned long long>(kills),
                static_cast<unsigned long long>(first.died() + second.died()), before, during, after);
}

}  // namespace
