#include <tercet/futures/errors.hpp>
#include <tercet/multiprocessing/guard.hpp>
#include <tercet/multiprocessing/manager.hpp>
#include <tercet/multiprocessing/pipe.hpp>
#include <tercet/multiprocessing/pool.hpp>
#include <tercet/multiprocessing/process.hpp>
#include <tercet/multiprocessing/queue.hpp>
#include <tercet/multiprocessing/rlock.hpp>
#include <tercet/multiprocessing/start_method.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <pthread.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <future>
#include <map>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "forked_child.hpp"
#include "process_probe.hpp"

namespace tercet::multiprocessing {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;

/// A class of a user.
class account {
public:
    account() = default;
    explicit account(std::string owner, long balance = 0) : owner_(std::move(owner)), balance_(balance) {}

    long deposit(long amount) {
        if (amount < 0) throw std::invalid_argument("a negative amount");
        return balance_ += amount;
    }
    const std::string& owner() const { return owner_; }
    void give_to(std::string owner) { owner_ = std::move(owner); }
    pid_t where() const { return ::getpid(); }
    /// Does badly when somebody else is in it.
    long add_slowly(int times) {
        for (int i = 0; i < times; ++i) {
            const volatile long before = balance_;
            std::this_thread::yield();
            balance_ = before + 1;
        }
        return balance_;
    }

private:
    std::string owner_;
    long balance_ = 0;
};

/// While this file is there, what the fork server of this program forks begins late.
std::string slow_start_mark() {
    static const std::string path = "/tmp/tercet-slow-start-" + std::to_string(in_worker() ? ::getppid() : ::getpid());
    return path;
}
const bool can_be_slow = [] {
    slow_start_mark();
    ::pthread_atfork(nullptr, nullptr, [] {
        if (in_worker() && ::access(slow_start_mark().c_str(), F_OK) == 0) std::this_thread::sleep_for(3s);
    });
    return true;
}();

/// One whose calls may meet.
struct meeting_place {
    static constexpr bool is_thread_safe = true;

    int meet() {
        ++arrived;
        while (arrived < 2) std::this_thread::yield();
        return arrived;
    }

    std::atomic<int> arrived{0};
};

/// One that says when it goes.
struct witness {
    explicit witness(std::string where) : path(std::move(where)) {}
    witness(const witness&) = delete;
    ~witness() { signpost::write(path, 1); }

    std::string path;
};

/// One whose end takes its time, and uses its own manager.
struct slow_to_go {
    event_proxy begins;
    event_proxy may_end;
    list_proxy<int> out;

    ~slow_to_go() {
        begins.set();
        may_end.wait();
        out.append(1);
    }
};

TEST(manager, serves_classes_of_users_by_their_member_functions) {
    const manager m;
    const auto shared = m.create<account>("Ada", 10);
    EXPECT_EQ(shared.call<&account::deposit>(32), 42);
    EXPECT_EQ(shared.call<&account::owner>(), "Ada");
    shared.call<&account::give_to>("Alan");
    EXPECT_EQ(shared.call<&account::owner>(), "Alan");
    EXPECT_EQ(shared.call<&account::where>(), m.process().pid());
    EXPECT_NE(shared.call<&account::where>(), ::getpid());
    EXPECT_EQ(shared.apply([](account& a, long more) { return a.deposit(more) * 2; }, 8L), 100);
    EXPECT_THROW(shared.call<&account::deposit>(-1), std::invalid_argument);
    EXPECT_EQ(m.create<account>().call<&account::owner>(), "");
}

TEST(manager, makes_one_call_of_an_object_at_a_time_unless_it_says_otherwise) {
    const manager m;
    const auto shared = m.create<account>("Ada");
    std::vector<std::future<void>> threads;
    for (int i = 0; i < 4; ++i)
        threads.push_back(std::async(std::launch::async, [&] { shared.call<&account::add_slowly>(500); }));
    for (auto& each : threads) each.get();
    EXPECT_EQ(shared.call<&account::deposit>(0), 2'000);
    const auto place = m.create<meeting_place>();
    auto first = std::async(std::launch::async, [&] { return place.call<&meeting_place::meet>(); });
    EXPECT_EQ(place.call<&meeting_place::meet>(), 2);
    EXPECT_EQ(first.get(), 2);
}

TEST(manager, its_proxies_are_arguments_of_processes_however_those_start) {
    const manager m;
    for (const auto method : {start_method::forkserver, start_method::spawn, start_method::fork}) {
        const auto results = m.list<int>(5, 0);
        const auto names = m.dict<int, std::string>();
        std::vector<process> processes;
        for (int i = 0; i < 5; ++i)
            processes.emplace_back(
                process_options{.start_method = method},
                [](list_proxy<int> out, const dict_proxy<int, std::string>& who, int index) {
                    out.set(static_cast<std::size_t>(index), index * index);
                    who.set(index, current_process().name);
                },
                results, names, i);
        for (auto& each : processes) each.start();
        for (auto& each : processes) {
            each.join();
            EXPECT_EQ(each.exitcode(), 0);
        }
        EXPECT_THAT(results.values(), ElementsAre(0, 1, 4, 9, 16));
        EXPECT_EQ(names.size(), 5U);
    }
}

TEST(manager, ends_also_where_processes_are_forks) {
    forked_child child([] {
        set_start_method(start_method::fork);
        manager m;
        m.list<int>().append(1);
        m.shutdown(20s);
        return 0;
    });
    EXPECT_EQ(child.wait(), 0);
}

TEST(manager, ends_while_a_fork_has_copies_of_its_line) {
    manager m;
    m.list<int>().append(1);
    forked_child child([] {
        ::pause();
        return 0;
    });
    m.shutdown(20s);
}

TEST(manager, its_proxies_are_arguments_and_results_of_pools) {
    const manager m;
    const auto counts = m.dict<std::string, int>();
    pool workers(2);
    workers.map(capture(
                    [](const dict_proxy<std::string, int>& all, const std::string& word) {
                        all.apply([](std::map<std::string, int>& c, const std::string& w) { ++c[w]; }, word);
                    },
                    counts),
                std::vector<std::string>{"a", "b", "a", "c", "a"});
    EXPECT_EQ(counts.get("a"), 3);
    EXPECT_EQ(counts.size(), 3U);
    const auto back = workers.apply([](dict_proxy<std::string, int> same) { return same; }, counts);
    EXPECT_EQ(back, counts);
    EXPECT_EQ(back.get("b"), 1);
}

TEST(manager, an_object_may_hold_proxies_of_others) {
    const manager m;
    const auto outer = m.list<list_proxy<int>>();
    {
        const auto inner = m.list<int>({1});
        outer.append(inner);
        outer.append(m.list<int>({2, 3}));
        inner.append(7);
    }
    EXPECT_THAT(outer.get(0).values(), ElementsAre(1, 7));
    outer.get(1).append(4);
    EXPECT_EQ(outer[1].size(), 3U);
    const auto requests = m.queue<queue_proxy<std::string>>(5);
    process server(
        [](queue_proxy<queue_proxy<std::string>> asked) {
            const auto reply = asked.get();
            reply.put("here");
        },
        requests);
    server.start();
    const auto mine = m.queue<std::string>(1);
    requests.put(mine);
    EXPECT_EQ(mine.get(20s), "here");
    server.join();
    const auto all = m.namespace_();
    all.set("inner", outer);
    EXPECT_EQ(all.get<list_proxy<list_proxy<int>>>("inner").get(0).get(1), 7);
}

TEST(manager, objects_of_shared_memory_lie_in_it_too) {
    const manager m;
    const auto held = m.list<multiprocessing::rlock>(1, multiprocessing::rlock());
    const auto door = held.get(0);
    door.acquire();
    EXPECT_TRUE(held.get(0).is_owned());
    door.release();
}

TEST(manager, an_object_goes_with_its_last_proxy_wherever_that_was) {
    const signpost gone;
    const manager m;
    auto first = std::optional(m.create<witness>(gone.path()));
    auto [here, there] = pipe();
    process child(
        [](connection line, const proxy<witness>& other) {
            line.send(0);
            line.recv<int>();
            line.send(other.apply([](const witness& w) { return w.path; }));
            ::_exit(0);  // and lets go of nothing
        },
        there, *first);
    child.start();
    here.recv<int>();
    first.reset();
    // It is alive: the child has it.
    here.send(0);
    EXPECT_EQ(here.recv<std::string>(), gone.path());
    EXPECT_EQ(gone.next(), 1);
    child.join();
}

TEST(manager, a_destructor_holds_up_nobody_and_may_use_its_own_manager) {
    const manager m;
    const auto begins = m.event();
    const auto may_end = m.event();
    const auto out = m.list<int>();
    m.create<slow_to_go>(begins, may_end, out);
    EXPECT_TRUE(begins.wait(20s));
    std::thread([&] { EXPECT_EQ(out.size(), 0U); }).join();  // by a new line
    may_end.set();
    const auto until = std::chrono::steady_clock::now() + 20s;
    while (out.empty() && std::chrono::steady_clock::now() < until) std::this_thread::yield();
    EXPECT_THAT(out.values(), ElementsAre(1));
}

TEST(manager, an_object_under_way_is_not_lost) {
    const signpost gone;
    const manager m;
    process child([](const proxy<witness>& other) { other.apply([](const witness&) {}); },
                  m.create<witness>(gone.path()));
    child.start();
    child.join();
    EXPECT_EQ(child.exitcode(), 0);
    EXPECT_EQ(gone.next(), 1);
    {
        process never([](const proxy<witness>&) {}, m.create<witness>(gone.path()));
    }
    EXPECT_EQ(gone.next(), 1);
}

TEST(manager, objects_leave_no_descriptors_behind) {
    const manager m;
    const auto first = m.list<int>();
    const pid_t pid = m.process().pid().value();
    const auto mine = open_fds();
    const auto theirs = open_fds(pid);
    for (int i = 0; i < 200; ++i) m.list<int>({i}).append(i);
    EXPECT_EQ(open_fds(), mine);
    // The manager hears of the last ones a moment later.
    const auto until = std::chrono::steady_clock::now() + 20s;
    while (open_fds(pid) > theirs && std::chrono::steady_clock::now() < until) std::this_thread::yield();
    EXPECT_LE(open_fds(pid), theirs);
}

TEST(manager, threads_that_have_ended_leave_no_lines_behind) {
    const manager m;
    const auto numbers = m.list<int>();
    const pid_t pid = m.process().pid().value();
    const auto theirs = open_fds(pid);
    for (int i = 0; i < 20; ++i) std::thread([&] { numbers.append(1); }).join();
    EXPECT_EQ(numbers.size(), 20U);
    const auto until = std::chrono::steady_clock::now() + 20s;
    while (open_fds(pid) > theirs && std::chrono::steady_clock::now() < until) std::this_thread::yield();
    EXPECT_LE(open_fds(pid), theirs);
}

TEST(manager, a_forked_child_uses_its_parents_proxies) {
    const manager m;
    const auto numbers = m.list<int>({1});
    const auto door = m.lock();
    door.acquire();
    forked_child child([&] {
        numbers.append(2);
        return door.is_owned() || door.try_lock() ? 1 : 0;  // it is another one
    });
    EXPECT_EQ(child.wait(), 0);
    EXPECT_THAT(numbers.values(), ElementsAre(1, 2));
    EXPECT_TRUE(door.is_owned());
    door.release();
}

TEST(manager, in_a_forked_child_it_does_not_end) {
    std::optional<manager> m(std::in_place);
    forked_child child([&] {
        try {
            m->shutdown();
            return 1;
        } catch (const invalid_state_error&) {
            m.reset();
            return 0;
        }
    });
    EXPECT_EQ(child.wait(), 0);
    // Had the child ended the line of the manager, the process would go now, and be waited for.
    EXPECT_FALSE(process_watch(m->process().pid().value()).ends_within(300));
    m->list<int>().append(1);
}

TEST(manager, shutdown_ends_its_process_and_destroys_its_objects) {
    const signpost gone;
    manager m;
    const process_watch watch(m.process().pid().value());
    const auto kept = m.create<witness>(gone.path());
    const auto numbers = m.list<int>({1});
    m.shutdown(20s);
    EXPECT_TRUE(watch.ends_within(0));
    EXPECT_EQ(m.process().exitcode(), 0);
    EXPECT_EQ(gone.next(), 1);
    m.shutdown();
    EXPECT_THROW(numbers.size(), manager_died);
    EXPECT_THROW(m.list<int>(), manager_died);
}

TEST(manager, has_a_name_and_outlives_an_interrupt) {
    const manager m({.name = "Shared"});
    EXPECT_EQ(m.process().name(), "Shared");
    const auto list = m.list<int>();
    ::kill(*m.process().pid(), SIGINT);
    for (int i = 0; i < 100; ++i) list.append(i);
    EXPECT_EQ(list.size(), 100U);
}

TEST(manager, one_that_does_not_answer_in_time_is_an_error_and_leaves_nothing) {
    std::ofstream(slow_start_mark()) << "slow";
    const auto begun = std::chrono::steady_clock::now();
    try {
        const manager m({.start_timeout = 100ms});
        ADD_FAILURE();
    } catch (const process_start_error& e) {
        EXPECT_THAT(e.what(), HasSubstr("100 ms"));
    }
    std::filesystem::remove(slow_start_mark());
    EXPECT_LT(std::chrono::steady_clock::now() - begun, 30s);
    EXPECT_TRUE(active_children().empty());
    const manager later;
    EXPECT_EQ(later.list<int>(1, 2).size(), 1U);
}

TEST(manager, goes_with_its_object) {
    std::optional<process_watch> watch;
    list_proxy<int> numbers;
    {
        const manager m;
        watch.emplace(m.process().pid().value());
        numbers = m.list<int>();
    }
    EXPECT_TRUE(watch->ends_within(0));
    EXPECT_THROW(numbers.append(1), manager_died);
    manager first;
    manager second(std::move(first));
    EXPECT_THROW(first.list<int>(), invalid_state_error);  // NOLINT(bugprone-use-after-move)
    const pid_t pid = second.process().pid().value();
    const process_watch second_watch(pid);
    second = manager();
    EXPECT_TRUE(second_watch.ends_within(0));
    second.list<int>().append(1);
}

TEST(manager, several_do_not_know_each_other) {
    const manager a;
    const manager b;
    EXPECT_NE(a.address(), b.address());
    const auto in_a = a.list<int>({1});
    const auto in_b = b.list<int>({2});
    EXPECT_NE(in_a, in_b);
    EXPECT_EQ(in_a.get(0), 1);
    EXPECT_EQ(in_b.get(0), 2);
    const auto both = a.list<list_proxy<int>>({in_a, in_b});
    EXPECT_EQ(both.get(1).get(0), 2);
}

TEST(manager, empty_proxies_say_that_they_are) {
    const list_proxy<int> none;
    EXPECT_FALSE(none.valid());
    EXPECT_THROW(none.size(), invalid_state_error);
    EXPECT_EQ(none, list_proxy<int>());
    const manager m;
    EXPECT_NE(none, m.list<int>());
    EXPECT_FALSE(m.list<list_proxy<int>>(1, none).get(0).valid());
}

TEST(manager, proxies_do_not_lie_in_queues_of_shared_memory) {
    const manager m;
    queue<list_proxy<int>> items(1);
    EXPECT_THROW(items.put(m.list<int>()), std::invalid_argument);
}

TEST(manager, big_values_go_through_it) {
    const manager m;
    const auto big = m.value(std::vector<double>(2'000'000, 0.5));
    big.update([](std::vector<double>& all) { all.back() = 7; });
    const auto back = big.get();
    EXPECT_EQ(back.size(), 2'000'000U);
    EXPECT_EQ(back.front(), 0.5);
    EXPECT_EQ(back.back(), 7);
}

TEST(manager, many_threads_of_many_processes_use_it) {
    const manager m;
    const auto total = m.value<long>(0);
    const auto jobs = m.queue<int>(10);
    std::vector<process> processes;
    for (int i = 0; i < 3; ++i) {
        processes.emplace_back(
            [](value_proxy<long> sum, queue_proxy<int> in) {
                std::vector<std::thread> threads;
                for (int k = 0; k < 3; ++k)
                    threads.emplace_back([&] {
                        for (int n = in.get(); n != 0; n = in.get())
                            sum.update([](long& s, int more) { s += more; }, n);
                    });
                for (auto& each : threads) each.join();
            },
            total, jobs);
        processes.back().start();
    }
    std::vector<std::future<void>> producers;
    for (int i = 0; i < 3; ++i)
        producers.push_back(std::async(std::launch::async, [&] {
            for (int n = 1; n <= 100; ++n) jobs.put(n);
        }));
    for (auto& each : producers) each.get();
    for (int i = 0; i < 9; ++i) jobs.put(0);
    for (auto& each : processes) {
        each.join();
        EXPECT_EQ(each.exitcode(), 0);
    }
    EXPECT_EQ(total.get(), 3 * 5'050);
}

}  // namespace
}  // namespace tercet::multiprocessing
