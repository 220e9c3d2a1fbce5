#pragma once

#include <tercet/asyncio/coro.hpp>
#include <tercet/asyncio/suspension.hpp>
#include <tercet/asyncio/task.hpp>
#include <tercet/asyncio/task_base.hpp>

#include <cstddef>
#include <exception>
#include <utility>
#include <vector>

namespace tercet::asyncio {

/// Starts several tasks and waits until all have ended: none is left behind, however the wait ends.
/// Cancel safety: a cancellation goes on to the tasks; the wait lasts until they have ended.
class task_join final : public suspension {
public:
    enum class policy : unsigned char {
        first_error_cancels,  ///< the first that fails or is cancelled cancels the others
        all_run,
    };

    /// Room for `count` tasks.
    task_join(std::size_t count, policy when_one_fails);

    /// Makes `work` a task, `started`. If that fails, those before are cancelled, and `throw_first_error` says so.
    template <class T>
    void start(coro<T>&& work, task<T>& started) noexcept {
        if (start_error_) return;
        try {
            started = create_task(std::move(work));
            add(started.state());
        } catch (...) {
            start_error_ = std::current_exception();
            cancel_all("a sibling could not be started");
        }
    }

    /// Throws nothing: ask the tasks.
    void await_resume() const noexcept {}

    /// Throws the first error in time, a real one rather than a cancellation. With `all_run` only when it is the wait
    /// that was cancelled.
    void throw_first_error() const;

private:
    struct listener : done_listener {
        listener(task_join& join, task_base& waited) noexcept : done_listener(&task_done), owner(join), task(waited) {}
        task_join& owner;
        task_base& task;
    };

    void add(task_base& task) noexcept;
    void cancel_all(const char* message) noexcept;
    bool begin() noexcept override { return pending_ == 0; }
    bool abandon() noexcept override;
    void name_awaited(task_search& search) const noexcept override;
    static void task_done(done_listener& self) noexcept;

    std::vector<listener> listeners_;
    std::size_t pending_ = 0;
    task_base* first_failed_ = nullptr;
    task_base* first_cancelled_ = nullptr;
    std::exception_ptr start_error_;
    policy policy_;
    bool is_waiting_abandoned_ = false;
};

}  // namespace tercet::asyncio
