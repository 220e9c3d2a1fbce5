#include <tercet/futures/adaptive_spin.hpp>
#include <tercet/futures/blocking_ban.hpp>
#include <tercet/futures/future.hpp>
#include <tercet/futures/helping_thread.hpp>
#include <tercet/futures/parker.hpp>

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <atomic>
#include <memory>

namespace tercet {

namespace {

struct thread_waiter : continuation {
    thread_waiter() noexcept : continuation(&wake, kind::waiter) {}
    static void wake(continuation& self) noexcept { static_cast<thread_waiter&>(self).thread.unpark(); }
    parker thread;
};

/// Waits on a thread that helps meanwhile.
struct helping_waiter : continuation {
    explicit helping_waiter(parker& to_wake) noexcept : continuation(&wake, kind::waiter), thread(to_wake) {}
    static void wake(continuation& self) noexcept {
        auto& here = static_cast<helping_waiter&>(self);
        parker& thread = here.thread;
        here.has_fired.store(true, std::memory_order_release);  // after this the waiter may be gone
        thread.unpark();
    }
    static bool is_over(void* self) noexcept {
        return static_cast<helping_waiter*>(self)->has_fired.load(std::memory_order_acquire);
    }
    parker& thread;
    std::atomic<bool> has_fired{false};
};

bool wait_helping(helping_thread& helper, future_state_base& waited, time_limit::clock::time_point deadline) noexcept {
    helping_waiter waiter(helper.wake_up());
    if (!waited.attach(waiter)) return true;
    if (helper.wait(&helping_waiter::is_over, &waiter, deadline)) return true;
    if (waited.detach(waiter)) return waited.is_done();
    helper.wait(&helping_waiter::is_over, &waiter, time_limit::clock::time_point::max());  // it is firing now
    return true;
}

constinit thread_local adaptive_spin spin_for_results;

struct callback : continuation {
    explicit callback(std::function<void()> fn) noexcept : continuation(&run, kind::callback), run_(std::move(fn)) {}
    static void run(continuation& self) noexcept {
        const std::unique_ptr<callback> owned(static_cast<callback*>(&self));
        try {
            owned->run_();
        } catch (...) {
            report_unread_error(std::current_exception(), "a callback of a future");
        }
    }
    std::function<void()> run_;
};

[[noreturn]] void throw_timeout(const time_limit& limit) {
    throw timeout_error(
        fmt::format("future: no result within {} s", std::chrono::duration<double>(*limit.duration()).count()));
}

}  // namespace

future_state_base& future_base::state() const {
    if (!state_) throw invalid_state_error("future: it was moved from, or never had a producer");
    return *state_;
}

bool future_base::wait(time_limit limit) const {
    future_state_base& waited = state();
    if (waited.is_done()) return true;
    if (limit.duration() == std::chrono::nanoseconds::zero()) return false;
    blocking_ban::check("future: waiting for a result");
    if (helping_thread* const helper = helping_thread::current()) {
        helper->check_wait(&waited);
        return wait_helping(*helper, waited, limit.deadline());
    }
    const auto deadline = limit.deadline();
    if (waited.work_instead_of_waiting(deadline)) return true;
    thread_waiter waiter;
    if (!waited.attach(waiter)) return true;
    const bool has_time = limit.is_forever() || *limit.duration() > adaptive_spin::longest;
    if (has_time && spin_for_results.until([&] { return waiter.thread.try_park(); })) return true;
    if (waiter.thread.park(deadline)) return true;
    if (waited.detach(waiter)) return waited.is_done();
    // The result came in the last moment, and another thread is on its way to the waiter, which must stay until it is
    // there.
    waiter.thread.park(time_limit::clock::time_point::max());
    return true;
}

std::exception_ptr future_base::exception(time_limit limit) const {
    if (!wait(limit)) throw_timeout(limit);
    future_state_base& waited = state();
    waited.mark_read();
    if (waited.is_cancelled()) throw cancelled_error();
    return waited.error();
}

void future_base::add_done_callback(std::function<void()> run) {
    future_state_base& waited = state();
    auto owned = std::make_unique<callback>(std::move(run));
    if (waited.attach(*owned))
        static_cast<void>(owned.release());
    else
        callback::run(*owned.release());
}

void future_base::wait_for_value(time_limit limit) const {
    if (!wait(limit)) throw_timeout(limit);
    state().throw_if_failed();
}

}  // namespace tercet
