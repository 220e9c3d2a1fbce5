#include <tercet/futures/errors.hpp>
#include <tercet/threading/event.hpp>
#include <tercet/threading/thread.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <pthread.h>
#include <sanitizers.hpp>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

namespace {

using namespace std::chrono_literals;
using namespace tercet;
using tercet::threading::current_thread;
using tercet::threading::event;
using tercet::threading::excepthook_args;
using tercet::threading::main_thread;
using tercet::threading::set_excepthook;
using tercet::threading::thread;
using tercet::threading::thread_handle;

bool is_listed(const thread_handle& wanted) { return std::ranges::count(threading::enumerate(), wanted) == 1; }

TEST(thread, runs_its_call_after_start_and_not_before) {
    std::atomic<bool> ran{false};
    thread worker([&](int a, const std::string& b) { ran = a == 1 && b == "x"; }, 1, "x");
    EXPECT_FALSE(worker.is_alive());
    EXPECT_EQ(worker.ident(), 0U);
    EXPECT_FALSE(is_listed(worker));
    worker.start();
    EXPECT_TRUE(worker.join());
    EXPECT_TRUE(ran);
    EXPECT_FALSE(worker.is_alive());
    EXPECT_FALSE(is_listed(worker));
    EXPECT_NE(worker.ident(), 0U);
    EXPECT_TRUE(worker.join());
}

TEST(thread, takes_arguments_that_only_move) {
    std::unique_ptr<int> got;
    thread worker([&](std::unique_ptr<int> given) { got = std::move(given); }, std::make_unique<int>(7));
    worker.start();
    worker.join();
    EXPECT_EQ(*got, 7);
}

TEST(thread, cannot_be_started_twice) {
    thread worker([] {});
    worker.start();
    EXPECT_THROW(worker.start(), invalid_state_error);
    worker.join();
    EXPECT_THROW(worker.start(), invalid_state_error);
}

TEST(thread, cannot_be_joined_before_it_is_started) {
    thread worker([] {});
    EXPECT_THROW(worker.join(), invalid_state_error);
    EXPECT_THROW(worker.join(0s), invalid_state_error);
}

TEST(thread, cannot_join_itself) {
    bool has_thrown = false;
    thread worker([&] {
        try {
            current_thread().join();
        } catch (const invalid_state_error&) {
            has_thrown = true;
        }
    });
    worker.start();
    worker.join();
    EXPECT_TRUE(has_thrown);
}

TEST(thread, join_gives_up_at_its_limit_and_the_thread_lives_on) {
    event go;
    thread worker([&] { go.wait(); });
    worker.start();
    EXPECT_FALSE(worker.join(5ms));
    EXPECT_FALSE(worker.join(0s));
    EXPECT_THROW(worker.join(-1s), std::invalid_argument);
    EXPECT_TRUE(worker.is_alive());
    EXPECT_TRUE(is_listed(worker));
    go.set();
    EXPECT_TRUE(worker.join(60s));
}

TEST(thread, several_threads_may_join_one) {
    event go;
    thread worker([&] { go.wait(); });
    worker.start();
    std::vector<std::jthread> joiners;
    for (int i = 0; i < 4; ++i)
        joiners.emplace_back([handle = thread_handle(worker)]() mutable { EXPECT_TRUE(handle.join()); });
    go.set();
}

TEST(thread, the_first_join_throws_what_left_the_function_and_later_ones_do_not) {
    thread worker([] { throw std::out_of_range("far"); });
    worker.start();
    EXPECT_THROW(worker.join(), std::out_of_range);
    EXPECT_TRUE(worker.join());
}

TEST(thread, a_stop_token_in_front_of_the_arguments_is_given_and_destruction_requests_the_stop) {
    event stopped;
    {
        thread worker(
            [&](std::stop_token stop, int value) {
                EXPECT_EQ(value, 3);
                event asked;
                const std::stop_callback wake(stop, [&] { asked.set(); });
                asked.wait();
                stopped.set();
            },
            3);
        worker.start();
    }
    EXPECT_TRUE(stopped.is_set());
}

TEST(thread, request_stop_asks_once) {
    thread worker([](std::stop_token stop) {
        event asked;
        const std::stop_callback wake(stop, [&] { asked.set(); });
        asked.wait();
    });
    worker.start();
    EXPECT_TRUE(worker.request_stop());
    EXPECT_FALSE(worker.request_stop());
    worker.join();
}

TEST(thread, one_that_was_never_started_goes_silently) {
    const thread unused([] { ADD_FAILURE(); });
}

TEST(thread, moves_with_the_thread_that_it_owns) {
    event go;
    thread first([&] { go.wait(); });
    first.start();
    thread second = std::move(first);
    go.set();
    EXPECT_TRUE(second.join());
    second = thread([] {});
    second.start();
}

TEST(thread, a_daemon_is_let_go_and_runs_on) {
    const auto go = std::make_shared<event>();
    const auto done = std::make_shared<event>();
    std::optional<thread_handle> handle;
    {
        thread worker({.daemon = true}, [=] {
            go->wait();
            done->set();
        });
        worker.start();
        handle = worker;
    }
    EXPECT_TRUE(handle->daemon());
    EXPECT_TRUE(handle->is_alive());
    go->set();
    EXPECT_TRUE(done->wait(60s));
    EXPECT_TRUE(handle->join());
}

TEST(thread, destroyed_by_itself_it_does_not_wait_for_itself) {
    event done;
    auto own = std::make_shared<std::unique_ptr<thread>>();
    event made;
    *own = std::make_unique<thread>([&, own] {
        made.wait();
        own->reset();
        done.set();
    });
    (*own)->start();
    made.set();
    EXPECT_TRUE(done.wait(60s));
}

TEST(thread, has_a_name_that_the_system_knows_too) {
    event go;
    std::array<char, 16> system_name{};
    thread worker({.name = "a name that is too long for the system"}, [&] {
        go.wait();
        ::pthread_getname_np(::pthread_self(), system_name.data(), system_name.size());
    });
    EXPECT_EQ(worker.name(), "a name that is too long for the system");
    worker.start();
    worker.set_name("short");
    go.set();
    worker.join();
    EXPECT_STREQ(system_name.data(), "short");
    EXPECT_EQ(worker.name(), "short");
    EXPECT_THAT(thread([] {}).name(), testing::StartsWith("Thread-"));
}

TEST(thread, knows_its_numbers_and_itself) {
    std::uint64_t ident = 0;
    int native_id = 0;
    std::optional<thread_handle> seen;
    thread worker([&] {
        ident = threading::get_ident();
        native_id = threading::get_native_id();
        seen = current_thread();
    });
    worker.start();
    worker.join();
    EXPECT_EQ(worker.ident(), ident);
    EXPECT_EQ(worker.native_id(), native_id);
    EXPECT_EQ(*seen, worker);
}

TEST(thread, one_that_the_system_refuses_leaves_no_entry_and_may_be_tried_again) {
    const auto before = threading::active_count();
    thread worker({.name = "huge", .stack_size = std::size_t{1} << 46U}, [] {});
    try {
        worker.start();
        FAIL() << "a stack of 64 TiB";
    } catch (const std::system_error& error) {
        EXPECT_THAT(error.what(), testing::HasSubstr("huge"));
    }
    EXPECT_EQ(threading::active_count(), before);
    EXPECT_FALSE(worker.is_alive());
    EXPECT_THROW(worker.join(), invalid_state_error);
    EXPECT_THROW(worker.start(), std::system_error);
}

TEST(threads, the_main_thread_is_known_and_cannot_be_joined) {
    EXPECT_EQ(main_thread(), current_thread());
    EXPECT_EQ(main_thread().name(), "MainThread");
    EXPECT_TRUE(main_thread().is_alive());
    EXPECT_FALSE(main_thread().is_dummy());
    EXPECT_TRUE(is_listed(main_thread()));
    EXPECT_EQ(main_thread().native_id(), ::getpid());
    EXPECT_THROW(main_thread().join(), invalid_state_error);
}

TEST(threads, a_foreign_thread_that_asks_for_itself_is_a_dummy_until_it_ends) {
    const auto before = threading::active_count();
    std::optional<thread_handle> seen;
    std::thread([&] {
        EXPECT_EQ(threading::active_count(), before);
        seen = current_thread();
        EXPECT_EQ(*seen, current_thread());
        EXPECT_TRUE(seen->is_dummy());
        EXPECT_TRUE(seen->is_alive());
        EXPECT_TRUE(is_listed(*seen));
        EXPECT_THAT(seen->name(), testing::StartsWith("Dummy-"));
        EXPECT_EQ(seen->ident(), threading::get_ident());
        EXPECT_THROW(seen->join(), invalid_state_error);
    }).join();
    EXPECT_FALSE(seen->is_alive());
    EXPECT_EQ(threading::active_count(), before);
}

/// Collects what the excepthook and the hook for unread errors are called with.
class hooks {
public:
    explicit hooks(bool throws = false) {
        told().clear();
        set_excepthook([throws](const excepthook_args& args) {
            tell("hook " + args.thread.name() + ": " + describe(args.error));
            if (throws) throw std::logic_error("hook fails");
        });
        before_ = set_unread_error_hook([](const std::exception_ptr& error, std::string_view origin) noexcept {
            tell(std::string(origin) + ": " + describe(error));
        });
    }
    ~hooks() {
        set_excepthook({});
        set_unread_error_hook(before_);
    }
    static std::vector<std::string>& told() {
        static std::vector<std::string> all;
        return all;
    }

private:
    static void tell(std::string what) {
        static std::mutex mutex;
        const std::lock_guard guard(mutex);
        told().push_back(std::move(what));
    }
    unread_error_hook before_;
};

TEST(excepthook, gets_what_nobody_joined_once) {
    const hooks installed;
    {
        thread worker({.name = "w"}, [] { throw std::runtime_error("lost"); });
        worker.start();
    }
    EXPECT_THAT(hooks::told(), testing::ElementsAre("hook w: std::runtime_error: lost"));
}

TEST(excepthook, does_not_get_what_a_join_took) {
    const hooks installed;
    {
        thread worker([] { throw std::runtime_error("taken"); });
        worker.start();
        EXPECT_THROW(worker.join(), std::runtime_error);
    }
    EXPECT_TRUE(hooks::told().empty());
}

TEST(excepthook, gets_what_a_daemon_throws_when_its_object_has_gone) {
    const hooks installed;
    const auto go = std::make_shared<event>();
    std::optional<thread_handle> handle;
    {
        thread worker({.name = "d", .daemon = true}, [go] {
            go->wait();
            throw std::runtime_error("late");
        });
        worker.start();
        handle = worker;
    }
    go->set();
    EXPECT_TRUE(handle->join());
    EXPECT_THAT(hooks::told(), testing::ElementsAre("hook d: std::runtime_error: late"));
}

TEST(excepthook, one_that_throws_is_itself_reported_with_what_it_was_called_for) {
    const hooks installed(true);
    {
        thread worker({.name = "w"}, [] { throw std::runtime_error("lost"); });
        worker.start();
    }
    EXPECT_THAT(hooks::told(), testing::ElementsAre("hook w: std::runtime_error: lost",
                                                    "excepthook of thread w: std::logic_error: hook fails",
                                                    "thread w: std::runtime_error: lost"));
}

TEST(excepthook, without_one_the_error_is_reported_as_unread) {
    const hooks installed;
    set_excepthook({});
    {
        thread worker({.name = "w"}, [] { throw std::runtime_error("lost"); });
        worker.start();
    }
    EXPECT_THAT(hooks::told(), testing::ElementsAre("thread w: std::runtime_error: lost"));
}

/// Runs `body` in a fork and returns its exit code.
template <class Body>
int in_child(Body body) {
    const pid_t child = ::fork();
    if (child == 0) {
        body();
        ::_exit(99);
    }
    int status = -1;
    EXPECT_EQ(::waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

TEST(threads, after_a_fork_in_another_thread_that_one_is_main_and_the_others_are_gone) {
    event go;
    thread other([&] { go.wait(); });
    other.start();
    int code = -1;
    thread forker({.name = "forker"}, [&] {
        const auto old_main = main_thread();
        code = in_child([&] {
            const bool is_right = main_thread() == current_thread() && main_thread().name() == "forker" &&
                                  main_thread().native_id() == ::getpid() && threading::active_count() == 1 &&
                                  threading::enumerate().front() == current_thread() && !other.is_alive() &&
                                  !old_main.is_alive() && other.join(0s);
            ::_exit(is_right ? 0 : 1);
        });
        EXPECT_NE(main_thread(), current_thread());
    });
    forker.start();
    forker.join();
    EXPECT_EQ(code, 0);
    EXPECT_TRUE(other.is_alive());
    go.set();
}

TEST(threads, after_a_fork_in_a_foreign_thread_that_one_is_main) {
    int code = -1;
    std::thread([&] {
        code = in_child([] { ::_exit(main_thread() == current_thread() && threading::active_count() == 1 ? 0 : 1); });
    }).join();
    EXPECT_EQ(code, 0);
}

TEST(threads, the_end_of_the_process_waits_for_threads_but_not_for_daemons) {
    if (is_under_thread_sanitizer) GTEST_SKIP() << "no threads in the child of a fork";
    const auto run = [](bool daemon) {
        std::array<int, 2> ends{};
        EXPECT_EQ(::pipe(ends.data()), 0);
        const int code = in_child([&] {
            auto* const never_destroyed = new thread({.daemon = daemon}, [&ends](std::stop_token stop) {
                event asked;
                const std::stop_callback wake(stop, [&] { asked.set(); });
                asked.wait();
                if (::write(ends[1], "x", 1) != 1) ::_exit(2);
            });
            never_destroyed->start();
            ::exit(0);
        });
        EXPECT_EQ(code, 0);
        ::close(ends[1]);
        char read_back = '-';
        const bool has_written = ::read(ends[0], &read_back, 1) == 1;
        ::close(ends[0]);
        return has_written;
    };
    EXPECT_TRUE(run(false));
    EXPECT_FALSE(run(true));
}

}  // namespace
