#include <tercet/asyncio.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "asyncio/stream_pair.hpp"
#include "asyncio/unread_errors.hpp"
#include "asyncio/uring_poller.hpp"
#include "asyncio/uring_ring.hpp"
#include "multiprocessing/process_probe.hpp"

using namespace std::chrono_literals;
using namespace tercet::asyncio;
using testing::HasSubstr;

namespace {

/// Sets TERCET_LOOP, or takes it away, for a while.
class loop_variable {
public:
    explicit loop_variable(const char* value) {
        if (const char* const before = std::getenv("TERCET_LOOP")) before_ = before;
        value ? ::setenv("TERCET_LOOP", value, 1) : ::unsetenv("TERCET_LOOP");
    }
    loop_variable(const loop_variable&) = delete;
    loop_variable& operator=(const loop_variable&) = delete;
    ~loop_variable() { before_ ? ::setenv("TERCET_LOOP", before_->c_str(), 1) : ::unsetenv("TERCET_LOOP"); }

private:
    std::optional<std::string> before_;
};

coro<loop_backend> ask_backend() { co_return get_running_loop().backend(); }

}  // namespace

TEST(backends, epoll_unless_another_is_asked_for) {
    const loop_variable unset(nullptr);
    EXPECT_EQ(run(ask_backend()), loop_backend::epoll);
    const loop_variable empty("");
    EXPECT_EQ(run(ask_backend()), loop_backend::epoll);
}

TEST(backends, an_option_outweighs_the_environment) {
    const loop_variable sim("sim");
    EXPECT_EQ(run(ask_backend(), {.backend = loop_backend::epoll}), loop_backend::epoll);
}

TEST(backends, an_unknown_name_in_the_environment_is_an_error_that_lists_the_names) {
    const loop_variable unknown("kqueue");
    try {
        run(ask_backend());
        FAIL();
    } catch (const std::invalid_argument& error) {
        EXPECT_THAT(error.what(), HasSubstr("kqueue"));
        EXPECT_THAT(error.what(), HasSubstr("io_uring"));
    }
}

TEST(backends, are_called_by_the_names_of_the_environment) {
    EXPECT_STREQ(to_string(loop_backend::epoll), "epoll");
    EXPECT_STREQ(to_string(loop_backend::io_uring), "io_uring");
    EXPECT_STREQ(to_string(loop_backend::sim), "sim");
}

namespace {

/// From now on, and on this thread, the system call fails with `error`.
bool refuse_setup(unsigned error) {
    sock_filter rules[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const sock_fprog filter{std::size(rules), rules};
    return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
}

/// The same for io_uring_register with that operation.
bool refuse_registration(unsigned operation, unsigned error) {
    sock_filter rules[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_register, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, args[1])),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, operation, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const sock_fprog filter{std::size(rules), rules};
    return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
}

/// What `fn` says in a process of its own.
template <class Fn>
bool holds_in_child(Fn fn) {
    const pid_t child = ::fork();
    if (child == 0) ::_exit(fn() ? 0 : 1);
    int status = -1;
    ::waitpid(child, &status, 0);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/// Whether a loop that asks for io_uring gets epoll where the system call fails with `error`.
bool falls_back_when_refused_with(unsigned error) {
    return holds_in_child([error] {
        return refuse_setup(error) && run(ask_backend(), {.backend = loop_backend::io_uring}) == loop_backend::epoll;
    });
}

coro<bool> bytes_come_through() {
    stream_pair pair = stream_pair::make();
    for (int i = 0; i < 100; ++i) {
        pair.writer.write("tercet");
        co_await pair.writer.drain();
        const std::string received = co_await pair.reader.read_exactly(6);
        if (received != "tercet") co_return false;
    }
    co_return true;
}

std::uint64_t writes_to(int eventfd) {
    std::ifstream info("/proc/self/fdinfo/" + std::to_string(eventfd));
    std::string word;
    while (info >> word)
        if (word == "eventfd-count:") {
            info >> word;
            return std::stoull(word, nullptr, 16);
        }
    return 0;
}

}  // namespace

TEST(backends, io_uring_that_a_sandbox_refuses_gives_way_to_epoll) {
    EXPECT_TRUE(falls_back_when_refused_with(EPERM));
    EXPECT_TRUE(falls_back_when_refused_with(ENOSYS));
    EXPECT_TRUE(falls_back_when_refused_with(ENOMEM));
    EXPECT_TRUE(falls_back_when_refused_with(EMFILE));
}

TEST(backends, io_uring_that_does_not_say_what_it_can_do_gives_way_to_epoll) {
    EXPECT_TRUE(holds_in_child([] {
        return refuse_registration(IORING_REGISTER_PROBE, EPERM) &&
               run(ask_backend(), {.backend = loop_backend::io_uring}) == loop_backend::epoll;
    }));
}

TEST(backends, io_uring_that_takes_no_buffers_receives_without_them) {
    if (run(ask_backend(), {.backend = loop_backend::io_uring}) != loop_backend::io_uring)
        GTEST_SKIP() << "io_uring is refused here";
    for (const unsigned error : std::array<unsigned, 2>{EINVAL, ENOMEM})
        EXPECT_TRUE(holds_in_child([error] {
            return refuse_registration(IORING_REGISTER_PBUF_RING, error) &&
                   run(ask_backend(), {.backend = loop_backend::io_uring}) == loop_backend::io_uring &&
                   run(bytes_come_through(), {.backend = loop_backend::io_uring});
        }));
}

TEST(backends, a_loop_runs_on_one_thread_after_the_other_that_has_ended) {
    for (const loop_backend backend : {loop_backend::epoll, loop_backend::io_uring}) {
        runner several({.backend = backend});
        for (int i = 0; i < 3; ++i) {
            bool is_whole = false;
            std::thread here([&] { is_whole = several.run(timeout(10s, bytes_come_through())); });
            here.join();  // the next one may get its id
            EXPECT_TRUE(is_whole) << i;
        }
    }
}

TEST(backends, a_loop_ends_on_a_thread_to_which_io_uring_is_refused) {
    constexpr int many = 400;  // more than a ring takes at once
    const unread_errors unread;
    auto several = std::make_unique<runner>(loop_options{.backend = loop_backend::io_uring});
    if (several->run(ask_backend()) != loop_backend::io_uring) GTEST_SKIP() << "io_uring is refused here";
    int ended = 0;
    auto clean_up = []() -> coro<> {  // its end is heard of from another thread
        auto nothing = [] {};
        co_await to_thread(nothing);
    };
    int waiting = 0;
    auto wait = [&](int descriptor) -> coro<> {
        const int own = ::dup(descriptor);  // for each descriptor one may wait
        bool was_cancelled = false;
        ++waiting;
        try {
            co_await readable(own);
        } catch (const tercet::cancelled_error&) {
            was_cancelled = true;
        }
        if (!was_cancelled) co_return;
        co_await shield(10s, clean_up());
        ::close(own);
        ++ended;
    };
    std::array<int, 2> ends{};
    ASSERT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
    auto main = [&]() -> coro<> {
        for (int i = 0; i < many; ++i) create_task(wait(ends[0]));
        while (waiting < many) co_await sleep(0s);
    };
    several->run(main());
    std::thread other([&] {
        if (refuse_setup(EPERM)) several.reset();
    });
    other.join();
    EXPECT_EQ(several, nullptr);
    EXPECT_EQ(ended, many);
    EXPECT_THAT(unread.texts(), testing::ElementsAre(testing::HasSubstr("io_uring is refused to this thread")));
    for (const int each : ends) ::close(each);
}

TEST(backends, a_loop_goes_on_where_it_was_when_io_uring_is_refused_to_another_thread) {
    runner several({.backend = loop_backend::io_uring});
    if (several.run(ask_backend()) != loop_backend::io_uring) GTEST_SKIP() << "io_uring is refused here";
    bool was_main_run = false;
    const auto main_of_other = [&]() -> coro<> {
        was_main_run = true;
        co_return;
    };
    int error = 0;
    std::thread other([&] {
        if (!refuse_setup(EPERM)) return;
        try {
            several.run(main_of_other());
        } catch (const std::system_error& refused) {
            error = refused.code().value();
        }
    });
    other.join();
    EXPECT_EQ(error, EPERM);
    EXPECT_TRUE(several.run(bytes_come_through()));
    EXPECT_FALSE(was_main_run);
}

TEST(backends, a_ring_has_the_flags_that_the_kernel_knows) {
    std::vector<unsigned> tried;
    const auto only_without = [&](unsigned unknown) {
        return set_up_with_most_flags([&tried, unknown](unsigned flags) {
            tried.push_back(flags);
            return (flags & unknown) != 0 ? EINVAL : 0;
        });
    };
    EXPECT_EQ(only_without(0), 0);
    EXPECT_EQ(tried.size(), 1U);
    EXPECT_NE(tried.back() & IORING_SETUP_DEFER_TASKRUN, 0U);
    EXPECT_EQ(only_without(IORING_SETUP_DEFER_TASKRUN), 0);
    EXPECT_NE(tried.back() & IORING_SETUP_COOP_TASKRUN, 0U);
    EXPECT_EQ(only_without(IORING_SETUP_COOP_TASKRUN | IORING_SETUP_SINGLE_ISSUER), 0);
    EXPECT_EQ(tried.back(), IORING_SETUP_SUBMIT_ALL);
    EXPECT_EQ(only_without(~0U), 0);
    EXPECT_EQ(tried.back(), 0U);
}

TEST(backends, a_poll_of_a_ring_that_finds_nothing_to_watch_tells_both_sides_and_does_not_begin_again) {
    const readiness everything = readiness::both | readiness::hangup;
    for (const int broken : {int{POLLNVAL}, POLLNVAL | POLLIN, -EBADF, -ENOMEM}) {
        const poll_report report = report_of_poll(broken);
        EXPECT_TRUE(report.has_failed) << broken;
        EXPECT_EQ(report.what, everything) << broken;
    }
    for (const int usual : {int{POLLIN}, int{POLLOUT}, int{POLLHUP}, int{POLLERR}, 0, -ECANCELED})
        EXPECT_FALSE(report_of_poll(usual).has_failed) << usual;
    EXPECT_EQ(report_of_poll(POLLIN).what, readiness::readable);
    EXPECT_EQ(report_of_poll(POLLOUT).what, readiness::writable);
    EXPECT_EQ(report_of_poll(POLLHUP).what, everything);
    EXPECT_EQ(report_of_poll(-ECANCELED).what, readiness::none);
}

TEST(backends, a_ring_that_is_forbidden_is_not_asked_for_again) {
    int attempts = 0;
    const int error = set_up_with_most_flags([&](unsigned) {
        ++attempts;
        return EPERM;
    });
    EXPECT_EQ(error, EPERM);
    EXPECT_EQ(attempts, 1);
}

TEST(backends, a_loop_of_io_uring_can_be_run_by_one_thread_after_another) {
    event_loop loop({.backend = loop_backend::io_uring});
    if (loop.backend() != loop_backend::io_uring) GTEST_SKIP() << "io_uring is refused here";
    stream_pair* pair = nullptr;
    auto open = [&]() -> coro<> {
        pair = new stream_pair(stream_pair::make());
        auto nothing = pair->reader.read(10);  // makes the loop receive
        try {
            co_await timeout(1ms, std::move(nothing));
        } catch (const tercet::timeout_error&) {
        }
        pair->writer.write("across threads");
    };
    auto read = [&]() -> coro<std::string> { co_return co_await pair->reader.read(100); };
    const auto opened = create_task_on(loop, open());
    loop.run_until_done(opened.state());
    std::string received;
    std::thread other([&] {
        auto reading = create_task_on(loop, read());
        loop.run_until_done(reading.state());
        received = reading.result();
        delete pair;
        loop.close();
    });
    other.join();
    EXPECT_EQ(received, "across threads");
}

TEST(backends, other_threads_write_to_the_descriptor_only_when_the_loop_sleeps) {
    auto main = []() -> coro<> {
        event_loop& loop = get_running_loop();
        const int descriptor = loop.inbox().wake_descriptor();
        const auto before = writes_to(descriptor);
        int calls = 0;
        std::thread busy([&] {
            for (int i = 0; i < 1000; ++i) loop.call_soon_threadsafe([&] { ++calls; });
        });
        busy.join();  // the loop is awake: it waits here
        EXPECT_EQ(writes_to(descriptor), before);
        co_await sleep(0s);
        while (calls < 1000) co_await sleep(0s);
        EXPECT_EQ(writes_to(descriptor), before);
        event woken;
        std::thread late([&, loops = ::gettid()] {
            tercet::multiprocessing::wait_until_asleep(loops);
            loop.call_soon_threadsafe([&] { woken.set(); });
        });
        co_await woken.wait();
        late.join();
        EXPECT_LE(writes_to(descriptor), before + 1);
    };
    run(main());
}

TEST(backends, what_is_always_ready_does_not_overtake_what_stands_in_line) {
    constexpr std::size_t count = 200;
    for (const auto backend : {loop_backend::epoll, loop_backend::io_uring}) {
        std::size_t overtook = 0;
        bool is_refused = false;
        auto main = [&]() -> coro<> {
            event_loop& loop = get_running_loop();
            is_refused = loop.backend() != backend;
            if (is_refused) co_return;
            std::vector<int> busy;
            std::vector<int> late;
            event is_over;
            std::size_t calls = 0;
            std::size_t calls_before = 0;
            std::size_t served = 0;
            const auto serve = [&](int descriptor) {
                eventfd_t value = 0;
                ::eventfd_read(descriptor, &value);
                if (++served < count) return;
                overtook = calls - calls_before;
                is_over.set();
            };
            const auto work = [&] {
                if (++calls != 5 * count) return;
                calls_before = calls;
                for (const int each : late) ::eventfd_write(each, 1);
            };
            for (std::size_t i = 0; i < count; ++i) {
                busy.push_back(::eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK));
                late.push_back(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
                loop.add_reader(busy.back(), work);
                loop.add_reader(late.back(), [&serve, fd = late.back()] { serve(fd); });
            }
            co_await is_over.wait();
            for (const auto* const all : {&busy, &late})
                for (const int each : *all) {
                    loop.remove_reader(each);
                    ::close(each);
                }
        };
        run(main(), {.backend = backend});
        if (is_refused) GTEST_SKIP() << "io_uring is refused here";
        EXPECT_LE(overtook, 3 * count) << to_string(backend);
    }
}
