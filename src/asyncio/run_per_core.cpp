// The calling thread waits on an eventfd, to which each thread writes when it ends, and so does the signal handler. A
// handler rather than a blocked signal, since a mask would be inherited by child processes; it is in place once only,
// so the second signal does what it does without us.
//
// A main that is to stop is cancelled through its task, which may be done from any thread. `is_stopping` and the tasks
// are under one mutex: a thread that begins late finds the flag, one that began before is found by its task.

#include <tercet/asyncio/event_loop.hpp>
#include <tercet/asyncio/run.hpp>
#include <tercet/asyncio/run_per_core.hpp>
#include <tercet/asyncio/task.hpp>
#include <tercet/futures/errors.hpp>

#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <exception>
#include <mutex>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <vector>

namespace tercet::asyncio {

namespace {

std::atomic<int> descriptor_of_signals{-1};
std::atomic<int> caught_signal{0};

void write_to(int descriptor) noexcept {
    const std::uint64_t one = 1;
    while (::write(descriptor, &one, sizeof one) < 0 && errno == EINTR) {
    }
}

void note_signal(int number) {
    const int error = errno;
    caught_signal.store(number);
    write_to(descriptor_of_signals.load());
    errno = error;
}

/// Catches the first SIGINT or SIGTERM that nobody else handles; one object at a time does.
class signal_watch {
public:
    signal_watch(int descriptor, bool is_wanted) {
        int nobody = -1;
        if (!is_wanted || !descriptor_of_signals.compare_exchange_strong(nobody, descriptor)) return;
        is_watching_ = true;
        caught_signal.store(0);
        for (std::size_t i = 0; i < numbers.size(); ++i) {
            ::sigaction(numbers[i], nullptr, &before_[i]);
            if (!is_default(i)) continue;
            struct sigaction noted {};
            noted.sa_handler = &note_signal;
            noted.sa_flags = SA_RESTART | static_cast<int>(SA_RESETHAND);
            ::sigaction(numbers[i], &noted, nullptr);
        }
    }
    signal_watch(const signal_watch&) = delete;
    signal_watch& operator=(const signal_watch&) = delete;
    ~signal_watch() {
        if (!is_watching_) return;
        for (std::size_t i = 0; i < numbers.size(); ++i)
            if (is_default(i)) ::sigaction(numbers[i], &before_[i], nullptr);
        descriptor_of_signals.store(-1);
    }

    int caught() const noexcept { return is_watching_ ? caught_signal.load() : 0; }

private:
    static constexpr std::array numbers{SIGINT, SIGTERM};
    bool is_default(std::size_t i) const noexcept { return before_[i].sa_handler == SIG_DFL; }

    std::array<struct sigaction, 2> before_{};
    bool is_watching_ = false;
};

class event_descriptor {
public:
    event_descriptor() : number_(::eventfd(0, EFD_CLOEXEC)) {
        if (number_ < 0) throw std::system_error(errno, std::system_category(), "run_per_core: eventfd");
    }
    event_descriptor(const event_descriptor&) = delete;
    event_descriptor& operator=(const event_descriptor&) = delete;
    ~event_descriptor() { ::close(number_); }

    int number() const noexcept { return number_; }
    void wait() const noexcept {
        pollfd readable{number_, POLLIN, 0};
        // ThreadSanitizer lets a signal that comes during read wait for its end.
        while (::poll(&readable, 1, -1) < 0 && errno == EINTR) {
        }
        std::uint64_t count;
        while (::read(number_, &count, sizeof count) < 0 && errno == EINTR) {
        }
    }

private:
    int number_;
};

std::vector<int> usable_cores() {
    cpu_set_t allowed;
    CPU_ZERO(&allowed);
    std::vector<int> cores;
    if (::sched_getaffinity(0, sizeof allowed, &allowed) == 0)
        for (int each = 0; each < CPU_SETSIZE; ++each)
            if (CPU_ISSET(static_cast<std::size_t>(each), &allowed)) cores.push_back(each);
    if (cores.empty()) cores.push_back(0);
    return cores;
}

class loops {
public:
    explicit loops(const std::function<coro<>(std::size_t)>& main, const per_core_options& how)
        : main_(main), how_(how), cores_(usable_cores()), watch_(changed_.number(), how.handle_signals) {}
    loops(const loops&) = delete;
    loops& operator=(const loops&) = delete;
    ~loops() {
        for (std::thread& each : threads_) each.join();
    }

    int run() {
        const std::size_t count = how_.cores > 0 ? how_.cores : cores_.size();
        mains_.resize(count);
        threads_.reserve(count);
        try {
            for (std::size_t core = 0; core < count; ++core) {
                threads_.emplace_back([this, core] { run_one(core); });
                const std::scoped_lock guard(mutex_);
                ++running_;
            }
        } catch (...) {
            stop("another loop could not be started", std::current_exception());
        }
        bool is_told = false;
        while (is_running()) {
            changed_.wait();
            if (watch_.caught() != 0 && !std::exchange(is_told, true))
                stop(watch_.caught() == SIGINT ? "SIGINT" : "SIGTERM", nullptr);
        }
        if (first_error_) std::rethrow_exception(first_error_);
        return watch_.caught();
    }

private:
    bool is_running() {
        const std::scoped_lock guard(mutex_);
        return running_ != ended_;
    }

    void stop(std::string_view reason, std::exception_ptr error) {
        const std::scoped_lock guard(mutex_);
        if (error && is_stopping_) {
            report_unread_error(error, "one of several loops, after they were told to stop");
        } else if (error) {
            first_error_ = std::move(error);
        }
        if (std::exchange(is_stopping_, true)) return;
        reason_ = reason;
        for (const task_handle& each : mains_)
            if (each.valid()) each.cancel(reason_);
    }

    void run_one(std::size_t core) noexcept {
        try {
            if (how_.pin) pin(cores_[core % cores_.size()]);
            event_loop loop(how_.loop);
            run_main(loop, core);
        } catch (...) {
            stop("another loop failed", std::current_exception());
        }
        {
            const std::scoped_lock guard(mutex_);
            ++ended_;
        }
        write_to(changed_.number());
    }

    void run_main(event_loop& loop, std::size_t core) {
        task<> root = create_task_on(loop, keep_alive_and_call(std::cref(main_), core), {.name = "main"});
        {
            const std::scoped_lock guard(mutex_);
            mains_[core] = root;
            if (is_stopping_) root.cancel(reason_);
        }
        loop.run_until_done(root.state());
        {
            const std::scoped_lock guard(mutex_);
            mains_[core] = task_handle();
        }
        try {
            std::move(root).result();
        } catch (const cancelled_error&) {
            const std::scoped_lock guard(mutex_);
            if (!is_stopping_) throw;
        } catch (...) {
            stop("another loop failed", std::current_exception());
        }
        loop.close();
    }

    static void pin(int core) {
        cpu_set_t one;
        CPU_ZERO(&one);
        CPU_SET(static_cast<std::size_t>(core), &one);
        const int error = ::pthread_setaffinity_np(::pthread_self(), sizeof one, &one);
        if (error != 0)
            throw std::system_error(error, std::system_category(), "run_per_core: pin to core " + std::to_string(core));
    }

    const std::function<coro<>(std::size_t)>& main_;
    const per_core_options& how_;
    std::vector<int> cores_;
    event_descriptor changed_;
    signal_watch watch_;
    std::mutex mutex_;
    std::vector<task_handle> mains_;
    bool is_stopping_ = false;
    std::string reason_;
    std::exception_ptr first_error_;
    std::size_t running_ = 0;
    std::size_t ended_ = 0;
    std::vector<std::thread> threads_;
};

}  // namespace

int run_per_core(const std::function<coro<>(std::size_t core)>& main, const per_core_options& how) {
    require_no_running_loop("run_per_core");
    loops all(main, how);
    return all.run();
}

}  // namespace tercet::asyncio
