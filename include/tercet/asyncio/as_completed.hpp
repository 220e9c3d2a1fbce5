#pragma once

#include <tercet/asyncio/coro.hpp>
#include <tercet/asyncio/task_watch.hpp>
#include <tercet/futures/time_limit.hpp>

#include <cstddef>
#include <optional>
#include <utility>
#include <vector>

namespace tercet::asyncio {

[[noreturn]] void throw_unfinished(const task_watch& watch);

/// Tasks as they end. See `as_completed`.
template <class Task>
class task_completions {
public:
    task_completions(std::vector<Task> tasks, event_loop::time_point deadline)
        : watch_(tasks.size(), return_when::first_completed), deadline_(deadline) {
        tasks_.reserve(tasks.size());
        for (Task& each : tasks)
            if (watch_.add(each.state())) tasks_.push_back(std::move(each));
    }

    class [[nodiscard]] next_wait final : public task_watch::wait {
    public:
        explicit next_wait(task_completions& owner) noexcept : wait(owner.watch_, owner.deadline_), owner_(owner) {}
        std::optional<Task> await_resume() const {
            check();
            if (const auto index = owner_.watch_.pop()) return std::move(owner_.tasks_[*index]);
            if (owner_.watch_.unpopped() > 0) throw_unfinished(owner_.watch_);
            return std::nullopt;
        }

    private:
        task_completions& owner_;
    };
    /// The next task that is done; nothing after the last. Throws `timeout_error` when the limit has passed, with how
    /// many are unfinished, and `cancelled_error`. Cancel safety: a task that is not handed out comes next time.
    next_wait next() noexcept { return next_wait(*this); }

    /// How many tasks were not handed out.
    std::size_t left() const noexcept { return watch_.unpopped(); }

private:
    std::vector<Task> tasks_;  // those that were not handed out; must outlive the watch
    task_watch watch_;
    event_loop::time_point deadline_;
};

/// Gives tasks in the order in which they end, those that are done already first, each once:
///
///     auto pages = as_completed(tasks, 5s);
///     while (auto page = co_await pages.next()) std::puts(page->result().title.c_str());
///
/// `limit` counts from this call. Throws `invalid_state_error` for a task of another loop. Leaving early leaves the
/// tasks as they are. The loop's thread.
template <range_of_tasks Range>
auto as_completed(Range&& tasks, time_limit limit = {}) {
    using task_type = std::ranges::range_value_t<Range>;
    return task_completions<task_type>(std::vector<task_type>(std::ranges::begin(tasks), std::ranges::end(tasks)),
                                       limit.deadline(get_running_loop().time()));
}

}  // namespace tercet::asyncio
