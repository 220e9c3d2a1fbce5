// Short calls stand several with a worker, and threads that wait read answers themselves.

#include <tercet/multiprocessing.hpp>

#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <future>
#include <latch>
#include <string>
#include <thread>
#include <vector>

#include "process_probe.hpp"

namespace tercet::multiprocessing {
namespace {

using namespace std::chrono_literals;

int same(int x) { return x; }
void wait_at(const std::string& gate_path) { signpost::read(gate_path); }
void stay(const std::string& signpost_path) {
    signpost::write(signpost_path, ::getpid());
    for (;;) ::pause();
}

class process_pipelining : public testing::Test {
protected:
    /// Calls count as short from here on, and all workers are there.
    void warm_up(process_pool_executor& pool) {
        const auto meet = [](const std::string& here, const std::string& there) {
            signpost::write(here, 1);
            signpost::read(there);
        };
        std::vector<future<void>> meeting;
        for (std::size_t i = 0; i < pool.max_workers(); ++i)
            meeting.push_back(pool.submit(meet, post.path(), gate.path()));
        for (std::size_t i = 0; i < meeting.size(); ++i) post.next();
        for (std::size_t i = 0; i < meeting.size(); ++i) signpost::write(gate.path(), 1);
        for (auto& each : meeting) each.result();
        for (int i = 0; i < 300; ++i) pool.submit(same, i).result();
    }

    signpost post;
    signpost gate;
    signpost second_gate;
};

/// What takes its time to be read in this process.
class held {
public:
    static inline std::atomic<pid_t> reader{0};
    static inline std::latch* is_being_read = nullptr;
    static inline std::latch* door = nullptr;

    template <class Archive>
    void serialize(Archive& archive) {
        archive(value_);
        if constexpr (Archive::is_loading) {
            if (::getpid() != reader) return;
            is_being_read->count_down();
            door->wait();
        }
    }

private:
    int value_ = 0;
};

TEST_F(process_pipelining, who_waits_for_a_call_in_front_does_not_wait_for_the_one_behind) {
    process_pool_executor pool(1);
    warm_up(pool);
    auto front = pool.submit(wait_at, gate.path());
    std::promise<pid_t> thread_id;
    std::promise<void> is_back;
    std::jthread waiting([&] {
        thread_id.set_value(static_cast<pid_t>(::syscall(SYS_gettid)));
        front.result();
        is_back.set_value();
    });
    wait_until_asleep(thread_id.get_future().get());
    auto behind = pool.submit(wait_at, second_gate.path());
    signpost::write(gate.path(), 1);
    EXPECT_EQ(is_back.get_future().wait_for(20s), std::future_status::ready);
    EXPECT_FALSE(behind.done());
    signpost::write(second_gate.path(), 1);
    behind.result();
}

TEST_F(process_pipelining, calls_behind_a_long_one_go_to_a_worker_that_is_started_for_them) {
    process_pool_executor pool(2);
    warm_up(pool);
    auto long_one = pool.submit(wait_at, gate.path());
    auto doomed = pool.submit(stay, post.path());
    const pid_t pid = post.next();
    std::vector<future<int>> behind;
    for (int i = 0; i < 4; ++i) behind.push_back(pool.submit(same, i));
    ::kill(pid, SIGKILL);
    for (int i = 0; i < 4; ++i) EXPECT_EQ(behind[static_cast<std::size_t>(i)].result(20s), i);
    EXPECT_THROW(doomed.result(), worker_died);
    EXPECT_FALSE(long_one.done());
    signpost::write(gate.path(), 1);
    long_one.result();
}

TEST_F(process_pipelining, a_worker_that_dies_loses_the_call_that_it_had_begun_alone) {
    process_pool_executor pool(1);
    warm_up(pool);
    auto doomed = pool.submit(stay, post.path());
    const pid_t pid = post.next();
    std::vector<future<int>> behind;
    for (int i = 0; i < 30; ++i) behind.push_back(pool.submit(same, i));
    ::kill(pid, SIGKILL);
    EXPECT_THROW(doomed.result(), worker_died);
    for (int i = 0; i < 30; ++i) EXPECT_EQ(behind[static_cast<std::size_t>(i)].result(), i);
}

TEST_F(process_pipelining, a_large_answer_behind_one_that_is_being_read_comes_through) {
    std::latch is_being_read(1);
    std::latch door(1);
    held::reader = ::getpid();
    held::is_being_read = &is_being_read;
    held::door = &door;
    process_pool_executor pool(1);
    warm_up(pool);
    const pid_t worker = pool.worker_pids().front();
    auto front = pool.submit([] { return held(); });
    auto behind = pool.submit([](int size) { return std::string(static_cast<std::size_t>(size), 'b'); }, 200'000);
    std::jthread reading([&] { front.result(); });
    is_being_read.wait();
    wait_until_asleep(worker);  // all that it has to say was said
    door.count_down();
    EXPECT_EQ(behind.result(20s).size(), 200'000U);
}

TEST_F(process_pipelining, a_callback_is_run_although_the_pool_has_ended_while_the_answer_was_read) {
    std::latch is_being_read(1);
    std::latch door(1);
    held::reader = ::getpid();
    held::is_being_read = &is_being_read;
    held::door = &door;
    std::promise<void> has_run;
    process_pool_executor pool(1);
    warm_up(pool);
    auto call = pool.submit([] { return held(); });
    call.add_done_callback([&] { has_run.set_value(); });
    std::jthread reading([&] { call.result(); });
    is_being_read.wait();
    pool.shutdown({.wait = false});
    const pid_t server = only_child();
    const process_watch end(server);
    ::kill(server, SIGKILL);
    EXPECT_TRUE(end.ends_within(5'000));
    door.count_down();
    EXPECT_EQ(has_run.get_future().wait_for(20s), std::future_status::ready);
}

}  // namespace
}  // namespace tercet::multiprocessing
