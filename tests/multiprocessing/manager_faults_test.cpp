// Clients and managers that die at bad moments, and strangers.

#include <tercet/futures/errors.hpp>
#include <tercet/multiprocessing/client.hpp>
#include <tercet/multiprocessing/manager.hpp>
#include <tercet/multiprocessing/pipe.hpp>
#include <tercet/multiprocessing/process.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstring>
#include <fstream>
#include <future>
#include <memory>
#include <mutex>
#include <new>
#include <optional>
#include <random>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "forked_child.hpp"
#include "multiprocessing/line_address.hpp"
#include "multiprocessing/manager_line.hpp"
#include "process_probe.hpp"
#include "sanitizers.hpp"

namespace tercet::multiprocessing {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;

template <class Predicate>
void until(Predicate predicate) {
    while (!predicate()) std::this_thread::yield();
}

/// Does to the manager's process what is hard on it.
class nuisance {
public:
    pid_t fork_and_stay() {
        const pid_t child = ::fork();
        if (child == 0)
            for (;;) ::pause();
        return child;
    }
    /// From now on it may have so many bytes more.
    void limit_memory(std::size_t more) {
        std::ifstream statm("/proc/self/statm");
        std::size_t pages = 0;
        statm >> pages;
        const rlimit limit{pages * 4096 + more, pages * 4096 + more};
        ::setrlimit(RLIMIT_AS, &limit);
    }
    std::size_t length(const std::string& text) { return text.size(); }
};

/// The sockets of this process that lead to a manager.
std::vector<int> lines_to(const manager& m) {
    std::vector<int> found;
    const line_address address = parse_address(m.address()).front();
    for (int fd = 3; fd < 1'000; ++fd) {
        sockaddr_storage peer{};
        socklen_t size = sizeof peer;
        if (::getpeername(fd, reinterpret_cast<sockaddr*>(&peer), &size) == 0 && size == address.size &&
            std::memcmp(&peer, address.data(), size) == 0)
            found.push_back(fd);
    }
    return found;
}

/// A process that has called `fn` with `proxy` and the end of a pipe, and has said that it is there.
template <class Fn, class Proxy>
process child_with(Fn fn, const Proxy& object) {
    auto [here, there] = pipe();
    process child(fn, object, there);
    child.start();
    there.close();
    here.template recv<int>();
    return child;
}

void kill(process& child) {
    child.kill();
    child.join();
}

TEST(manager_faults, a_lock_of_a_killed_process_is_free_and_says_so) {
    const manager m;
    const auto door = m.lock();
    for (const bool has_waiter : {false, true}) {
        process owner = child_with(
            [](const lock_proxy& taken, connection line) {
                taken.acquire();
                line.send(0);
                for (;;) ::pause();
            },
            door);
        EXPECT_FALSE(door.acquire(0s));
        const auto waiting = m.value<bool>(false);
        auto other = std::async(std::launch::async, [&] {
            if (!has_waiter) return true;
            waiting.set(true);
            const bool was_taken = door.acquire(20s);
            const bool is_told = door.owner_died();
            door.release();
            return was_taken && is_told;
        });
        if (has_waiter) until([&] { return waiting.get(); });
        kill(owner);
        EXPECT_TRUE(other.get());
        EXPECT_TRUE(door.acquire(20s));
        EXPECT_EQ(door.owner_died(), !has_waiter);
        door.release();
    }
}

TEST(manager_faults, an_rlock_of_a_killed_process_is_free_however_often_it_was_taken) {
    const manager m;
    const auto door = m.rlock();
    process owner = child_with(
        [](const rlock_proxy& taken, connection line) {
            for (int i = 0; i < 3; ++i) taken.acquire();
            line.send(0);
            for (;;) ::pause();
        },
        door);
    kill(owner);
    EXPECT_TRUE(door.acquire(20s));
    EXPECT_TRUE(door.owner_died());
    EXPECT_EQ(door.recursion_count(), 1U);
    door.release();
}

TEST(manager_faults, a_lock_of_a_killed_process_is_free_also_when_a_fork_of_that_lives_on) {
    const signpost sign;
    const manager m;
    const auto door = m.lock();
    forked_child owner([&] {
        door.acquire();
        const pid_t copy = ::fork();
        if (copy != 0) signpost::write(sign.path(), copy);
        for (;;) ::pause();
        return 0;
    });
    const pid_t copy = sign.next();
    owner.kill();
    EXPECT_TRUE(door.acquire(20s));
    EXPECT_TRUE(door.owner_died());
    door.release();
    ::kill(copy, SIGKILL);
}

TEST(manager_faults, locks_survive_processes_that_are_killed_at_any_moment) {
    const manager m;
    const auto door = m.lock();
    const auto rounds = m.value<long>(0);
    const pid_t pid = m.process().pid().value();
    const auto descriptors = open_fds(pid);
    std::minstd_rand random(7);
    for (int round = 0; round < 60; ++round) {
        forked_child child([&]() -> int {
            for (;;) {
                const std::lock_guard inside(door);
                rounds.update([](long& n) { ++n; });
            }
        });
        const auto end = std::chrono::steady_clock::now() + std::chrono::microseconds(random() % 3'000);
        while (std::chrono::steady_clock::now() < end) std::this_thread::yield();
        child.kill();
        ASSERT_TRUE(door.acquire(20s)) << "round " << round;
        door.release();
    }
    // Their lines go a moment later.
    const auto end = std::chrono::steady_clock::now() + 20s;
    while (open_fds(pid) > descriptors && std::chrono::steady_clock::now() < end) std::this_thread::yield();
    EXPECT_LE(open_fds(pid), descriptors);
}

TEST(manager_faults, a_process_that_is_killed_while_it_waits_takes_nothing) {
    const manager m;
    const auto jobs = m.queue<int>(5);
    for (int round = 0; round < 20; ++round) {
        process waiter = child_with(
            [](const queue_proxy<int>& in, connection line) {
                in.qsize();
                line.send(0);
                in.get();
            },
            jobs);
        wait_until_asleep(waiter.pid().value());
        kill(waiter);
        jobs.put(round);
        EXPECT_EQ(jobs.get(20s), round);
    }
}

TEST(manager_faults, a_barrier_breaks_when_one_dies_who_waits) {
    const manager m;
    const auto meeting = m.barrier(3);
    process party([](const barrier_proxy& all) { all.wait(); }, meeting);
    party.start();
    auto other = std::async(std::launch::async, [&] { return meeting.wait(); });
    until([&] { return meeting.n_waiting() == 2; });
    kill(party);
    EXPECT_THROW(other.get(), broken_barrier_error);
    EXPECT_THROW(meeting.wait(), broken_barrier_error);
}

TEST(manager_faults, a_notification_is_not_for_the_dead) {
    const manager m;
    const auto ready = m.condition();
    for (int round = 0; round < 10; ++round) {
        process first = child_with(
            [](const condition_proxy& all, connection line) {
                const std::lock_guard inside(all);
                line.send(0);
                all.wait();
            },
            ready);
        const auto has_lock = m.value<bool>(false);
        {
            const std::lock_guard inside(ready);  // it waits now
        }
        auto second = std::async(std::launch::async, [&] {
            const std::lock_guard inside(ready);
            has_lock.set(true);
            return ready.wait(20s);
        });
        until([&] { return has_lock.get(); });
        kill(first);
        {
            const std::lock_guard inside(ready);
            ready.notify();
        }
        EXPECT_TRUE(second.get());
    }
}

TEST(manager_faults, its_death_ends_every_call_with_an_error) {
    manager m;
    const auto jobs = m.queue<int>(1);
    const auto door = m.lock();
    const auto meeting = m.barrier(3);
    door.acquire();
    std::vector<std::future<std::string>> threads;
    const auto call = [&](auto fn) {
        threads.push_back(std::async(std::launch::async, [fn]() -> std::string {
            try {
                fn();
                return "no error";
            } catch (const manager_died& e) {
                return e.what();
            }
        }));
    };
    call([jobs] { jobs.get(); });
    call([door] { door.acquire(); });
    call([meeting] { meeting.wait(); });
    process child(
        [](const barrier_proxy& all) {
            try {
                all.wait();
            } catch (const manager_died&) {
                ::_exit(7);
            }
        },
        meeting);
    child.start();
    until([&] { return meeting.n_waiting() == 2; });
    const std::string pid = std::to_string(m.process().pid().value());
    m.process().kill();
    for (auto& each : threads)
        EXPECT_EQ(each.get(), "manager (pid " + pid + "): it has ended, and its objects are gone");
    EXPECT_TRUE(child.join(20s));
    EXPECT_EQ(child.exitcode(), 7);
    EXPECT_THROW(jobs.put(1), manager_died);
    EXPECT_THROW(m.list<int>(), manager_died);
    m.process().join();
    EXPECT_EQ(m.process().exitcode(), -SIGKILL);
    m.shutdown();
}

TEST(manager_faults, its_death_is_seen_although_a_process_lives_that_was_forked_there) {
    const manager m;
    const auto trouble = m.create<nuisance>();
    const auto never = m.event();
    auto waiting = std::async(std::launch::async, [&] {
        try {
            never.wait();
        } catch (const manager_died&) {
            return true;
        }
        return false;
    });
    until([&] { return lines_to(m).size() == 2; });
    const pid_t fork_there = trouble.call<&nuisance::fork_and_stay>();
    ::kill(*m.process().pid(), SIGKILL);
    EXPECT_TRUE(waiting.get());
    EXPECT_THROW(trouble.call<&nuisance::fork_and_stay>(), manager_died);
    ::kill(fork_there, SIGKILL);
}

TEST(manager_faults, a_call_for_which_it_has_no_memory_fails_and_the_lock_of_its_client_stays) {
    if (is_under_address_sanitizer || is_under_thread_sanitizer) GTEST_SKIP() << "they need memory of their own";
    const manager m;
    const auto trouble = m.create<nuisance>();
    const auto door = m.lock();
    door.acquire();
    const std::string large(120'000'000, 'x');
    trouble.call<&nuisance::limit_memory>(std::size_t{50'000'000});
    for (int i = 0; i < 2; ++i) EXPECT_THROW(trouble.call<&nuisance::length>(large), std::bad_alloc);
    EXPECT_EQ(trouble.call<&nuisance::length>(std::string("short")), 5U);
    door.release();
}

TEST(manager_faults, a_line_that_has_ended_is_not_taken_for_the_death_of_the_manager) {
    if (is_under_address_sanitizer || is_under_thread_sanitizer) GTEST_SKIP() << "they open files of their own";
    const manager m;
    for (const bool has_descriptors : {true, false}) {
        const auto never = m.barrier(2);
        auto waiting = std::async(std::launch::async, [&] {
            try {
                never.wait();
            } catch (const eof_error& e) {
                return std::string(e.what());
            }
            return std::string("no error");
        });
        until([&] { return never.n_waiting() == 1; });
        const std::vector<int> lines = lines_to(m);
        rlimit before{};
        ::getrlimit(RLIMIT_NOFILE, &before);
        const rlimit none{3, before.rlim_max};
        if (!has_descriptors) ::setrlimit(RLIMIT_NOFILE, &none);
        for (const int each : lines) ::shutdown(each, SHUT_RDWR);
        const std::string text = waiting.get();
        ::setrlimit(RLIMIT_NOFILE, &before);
        EXPECT_THAT(text,
                    HasSubstr(has_descriptors ? "it has dropped the line of this thread" : "Too many open files"));
        // On a new line: the manager hears of the end of the old one a little later than its client.
        const auto give_up = std::chrono::steady_clock::now() + 20s;
        while (!never.broken() && std::chrono::steady_clock::now() < give_up) std::this_thread::yield();
        EXPECT_TRUE(never.broken());
    }
}

TEST(manager_faults, shutdown_ends_calls_that_wait) {
    manager m;
    const auto meeting = m.barrier(2);
    auto other = std::async(std::launch::async, [&] { meeting.wait(); });
    until([&] { return meeting.n_waiting() == 1; });
    m.shutdown(20s);
    EXPECT_THROW(other.get(), manager_died);
}

TEST(manager_faults, it_ends_when_its_parent_is_killed) {
    const signpost sign;
    forked_child parent([&] {
        const manager m;
        signpost::write(sign.path(), m.process().pid().value());
        for (;;) ::pause();
        return 0;
    });
    const process_watch watch(sign.next());
    parent.kill();
    EXPECT_TRUE(watch.ends_within(2'000));
}

TEST(manager_faults, one_that_is_never_destroyed_does_not_hold_up_the_end_of_its_program) {
    const signpost sign;
    process child(
        [](const std::string& path) {
            static auto* const leaked = new manager;
            leaked->list<int>().append(1);
            signpost::write(path, leaked->process().pid().value());
        },
        sign.path());
    child.start();
    const process_watch watch(sign.next());
    EXPECT_TRUE(child.join(20s));
    EXPECT_EQ(child.exitcode(), 0);
    EXPECT_TRUE(watch.ends_within(2'000));
}

TEST(manager_faults, static_objects_may_call_at_the_very_end) {
    const manager m;
    const auto numbers = m.list<int>();
    process child(
        [](const list_proxy<int>& given) {
            struct last_words {
                list_proxy<int> out;
                ~last_words() { out.append(2); }
            };
            static const last_words words{given};
            words.out.append(1);
        },
        numbers);
    child.start();
    child.join();
    EXPECT_EQ(child.exitcode(), 0);
    EXPECT_THAT(numbers.values(), ElementsAre(1, 2));
}

TEST(manager_faults, strangers_are_turned_away) {
    const manager m({.authkey = "secret"});
    const auto numbers = m.list<int>();
    EXPECT_THROW(client(m.address(), {.authkey = "wrong"}), authentication_error);
    EXPECT_THROW(client(m.address()), authentication_error);
    EXPECT_NO_THROW(client(m.address(), {.authkey = "secret"}));
    numbers.append(1);
    EXPECT_EQ(numbers.size(), 1U);
}

unique_fd connect_to(const std::string& address) {
    const line_address where = parse_address(address).front();
    unique_fd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (::connect(socket.get(), where.data(), where.size) != 0) throw std::system_error(errno, std::system_category());
    return socket;
}

TEST(manager_faults, garbage_and_silence_on_its_socket_hold_nobody_up) {
    const manager m({.authkey = "secret"});
    const auto numbers = m.list<int>();
    std::minstd_rand random(7);
    std::vector<unique_fd> silent;
    for (int round = 0; round < 40; ++round) {
        silent.push_back(connect_to(m.address()));
        const unique_fd noisy = connect_to(m.address());
        std::string garbage(random() % 300, ' ');
        for (char& each : garbage) each = static_cast<char>(random());
        ::send(noisy.get(), garbage.data(), garbage.size(), MSG_NOSIGNAL);
        const auto start = std::chrono::steady_clock::now();
        std::thread([&] { numbers.append(round); }).join();  // a new line
        EXPECT_LT(std::chrono::steady_clock::now() - start, 4s);
    }
    EXPECT_EQ(numbers.size(), 40U);
}

constexpr auto push = [](std::vector<int>& all, int next) { all.push_back(next); };
constexpr auto count = [](std::vector<int>& all) { return all.size(); };

/// The bytes of a call of a proxy.
encoder request_of(const list_proxy<int>& numbers) {
    using function = detail::function_call<std::remove_const_t<decltype(push)>>;
    encoder out;
    remote_call_of<function, detail::object_reference<std::vector<int>>, int>::encode_request(out, function{push},
                                                                                              numbers.reference(), 5);
    return out;
}

std::uint8_t status_of(const manager_line::message& answer) {
    return std::to_integer<std::uint8_t>(answer.bytes.bytes().front());
}

TEST(manager_faults, calls_that_make_no_sense_get_an_error_and_the_line_goes_on) {
    const manager m({.authkey = "secret"});
    const auto numbers = m.list<int>();
    connection line = client(m.address(), {.authkey = "secret"});
    const auto exchange = [&](encoder& request) {
        manager_line::send(line, manager_line::call_type, request);
        return manager_line::receive(line);
    };
    encoder right = request_of(numbers);
    EXPECT_EQ(status_of(exchange(right)), 0);
    EXPECT_THAT(numbers.values(), ElementsAre(5));
    const encoder model = request_of(numbers);
    const auto bytes = const_cast<encoder&>(model).buffer().bytes();
    std::minstd_rand random(11);
    int errors = 0;
    for (int round = 0; round < 2'000; ++round) {
        encoder wrong;
        if (round % 2 == 0) {
            for (auto left = random() % 200; left != 0; --left) wrong.write_raw(static_cast<std::uint8_t>(random()));
        } else {
            // The reference of the function stays, or nearly nothing would be looked at behind it.
            wrong.write(bytes.data(), bytes.size());
            const std::size_t start = sizeof(function_reference) + sizeof(std::uint64_t);
            const std::size_t place = start + random() % (bytes.size() - start);
            wrong.buffer().data()[place] = static_cast<std::byte>(random());
        }
        errors += status_of(exchange(wrong));
    }
    EXPECT_GT(errors, 1'000);
    EXPECT_TRUE(m.process().is_alive());
    encoder again = request_of(numbers);
    EXPECT_EQ(status_of(exchange(again)), 0);
}

TEST(manager_faults, a_stream_that_makes_no_sense_ends) {
    const manager m({.authkey = "secret"});
    const auto numbers = m.list<int>();
    for (const bool is_marked : {true, false}) {
        connection line = client(m.address(), {.authkey = "secret"});
        if (is_marked) {
            line.send(std::string("what is this?"));
        } else {
            const std::string garbage(100, 'x');
            ASSERT_EQ(::send(line.fileno(), garbage.data(), garbage.size(), MSG_NOSIGNAL), 100);
        }
        EXPECT_THROW(line.recv<int>(20s), eof_error);
    }
    {
        // The head of a message of 1 GiB, and then nothing more.
        connection line = client(m.address(), {.authkey = "secret"});
        struct {
            std::uint32_t magic = 0x54434d53;
            std::uint32_t descriptors = 0;
            std::uint64_t size = 1U << 30U;
            std::uint64_t type = manager_line::call_type;
        } head;
        ASSERT_EQ(::send(line.fileno(), &head, sizeof head, MSG_NOSIGNAL), static_cast<ssize_t>(sizeof head));
    }
    numbers.append(1);
    EXPECT_EQ(numbers.size(), 1U);
}

TEST(manager_faults, an_object_is_not_taken_for_one_of_another_type) {
    const manager m({.authkey = "secret"});
    const auto words = m.list<std::string>();
    connection line = client(m.address(), {.authkey = "secret"});
    using function = detail::function_call<std::remove_const_t<decltype(count)>>;
    using call = remote_call_of<function, detail::object_reference<std::vector<int>>>;
    const auto error_of = [&](std::uint64_t number) -> std::string {
        encoder request;
        call::encode_request(request, function{count}, detail::object_reference<std::vector<int>>(number));
        manager_line::send(line, manager_line::call_type, request);
        auto answer = manager_line::receive(line);
        try {
            manager_answer(std::move(answer.bytes), std::move(answer.descriptors)).result<call>();
            return "no error";
        } catch (const decode_error& e) {
            return e.what();
        }
    };
    bool was_found = false;
    for (std::uint64_t number = 0; number < 10; ++number)
        was_found |= error_of(number) == "manager: object " + std::to_string(number) + " is of another type";
    EXPECT_TRUE(was_found);
    EXPECT_EQ(error_of(1'000), "manager: there is no object 1000");
}

TEST(manager_faults, an_error_of_the_answer_is_an_error_of_the_call) {
    const manager m;
    const auto numbers = m.list<int>();
    EXPECT_THROW(numbers.apply([](std::vector<int>&) -> int { throw 5; }), remote_error);
    // More descriptors than go with a message.
    const auto door = m.value(m.lock());
    EXPECT_THROW(door.update([](const lock_proxy& one) { return std::vector<lock_proxy>(300, one); }), std::exception);
    EXPECT_EQ(numbers.size(), 0U);
}

}  // namespace
}  // namespace tercet::multiprocessing
