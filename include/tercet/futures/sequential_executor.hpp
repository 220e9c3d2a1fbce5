#pragma once

#include <tercet/futures/executor.hpp>
#include <tercet/futures/job.hpp>
#include <tercet/futures/limited_call.hpp>

#include <cstddef>
#include <type_traits>
#include <utility>

namespace tercet {

/// Runs each call on the calling thread, inside `submit`: no concurrency, the same interface. The baseline of a
/// comparison, and a deterministic executor for tests. Not thread-safe.
class sequential_executor : public executor_interface<sequential_executor> {
public:
    /// Calls `fn(args...)` now. The future is done when this returns. Throws `executor_shutdown` after `shutdown`.
    template <class Fn, class... Args>
        requires(!std::is_same_v<std::remove_cvref_t<Fn>, submit_options>)
    auto submit(Fn&& fn, Args&&... args) {
        refuse_after_shutdown();
        auto [work, result] = make_call(std::forward<Fn>(fn), std::forward<Args>(args)...);
        work->run(nullptr);
        return std::move(result);
    }

    /// The same with a time limit, a deadline, retries or a name. A call that takes longer than it may fails, though
    /// `submit` returns only when it has; a thread of its own watches the time of calls that have a limit. The priority
    /// is of no account. Throws `std::invalid_argument` too, when there are to be retries and the arguments cannot be
    /// copied.
    template <class Fn, class... Args>
    auto submit(submit_options options, Fn&& fn, Args&&... args) {
        refuse_after_shutdown();
        auto [work, result] =
            make_limited_call(watch_, std::move(options), std::forward<Fn>(fn), std::forward<Args>(args)...);
        work->run(nullptr);
        return std::move(result);
    }

    /// One: the caller.
    std::size_t max_workers() const noexcept { return 1; }

    /// Refuses further calls.
    void shutdown(shutdown_options = {}) noexcept { is_shut_down_ = true; }

private:
    void refuse_after_shutdown() const {
        if (is_shut_down_) throw executor_shutdown("sequential_executor: submit after shutdown");
    }

    deadline_watch watch_;
    bool is_shut_down_ = false;
};

}  // namespace tercet
