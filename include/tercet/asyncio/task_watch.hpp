#pragma once

#include <tercet/asyncio/event_loop.hpp>
#include <tercet/asyncio/suspension.hpp>
#include <tercet/asyncio/task.hpp>
#include <tercet/asyncio/task_base.hpp>
#include <tercet/asyncio/timer_queue.hpp>
#include <tercet/futures/completion_queue.hpp>

#include <concepts>
#include <cstddef>
#include <optional>
#include <ranges>
#include <type_traits>
#include <unordered_set>
#include <vector>

namespace tercet::asyncio {

/// A range of tasks, of one type or as `task_handle`s.
template <class Range>
concept range_of_tasks =
    std::ranges::input_range<Range> && std::derived_from<std::ranges::range_value_t<Range>, task_handle>;

/// Watches tasks and hands out the indexes of those that are done, in the order in which they ended, those first that
/// were done before. Leaves the tasks as they are. The core of `wait` and `as_completed`. The loop's thread.
class task_watch {
public:
    /// For at most `count` tasks, which must stay while this does. `wake` says when a wait is over.
    task_watch(std::size_t count, return_when wake);
    task_watch(const task_watch&) = delete;
    task_watch& operator=(const task_watch&) = delete;
    ~task_watch();

    /// False: it is watched already. Throws `invalid_state_error` when it runs on another loop.
    bool add(task_base& task);

    std::size_t size() const noexcept { return listeners_.size(); }
    /// How many were not handed out.
    std::size_t unpopped() const noexcept { return unpopped_; }
    /// The next that is done; nothing when there is none now.
    std::optional<std::size_t> pop() noexcept;

    /// Waits for the condition or the deadline. Throws `cancelled_error`, and `invalid_state_error` when another waits.
    /// Cancel safety: nothing to lose.
    class [[nodiscard]] wait : public suspension, private timer_node {
    public:
        wait(task_watch& watch, event_loop::time_point deadline) noexcept
            : timer_node(&expire), watch_(watch), deadline_(deadline) {}
        void await_resume() const { check(); }

    protected:
        void check() const;
        task_watch& watch_;

    private:
        friend class task_watch;
        bool begin() noexcept override;
        bool abandon() noexcept override;
        void name_awaited(task_search& search) const noexcept override;
        void stop() noexcept;
        static void expire(timer_node& self) noexcept;

        event_loop::time_point deadline_;
        bool is_refused_ = false;
    };

private:
    struct listener final : done_listener {
        listener(task_watch& watch, task_base& watched) noexcept : done_listener(&ended), owner(watch), task(watched) {}
        static void ended(done_listener& self) noexcept;
        task_watch& owner;
        task_base& task;
        listener* next_done = nullptr;
        bool has_ended = false;
    };

    void note(listener& ended) noexcept;
    bool is_over() const noexcept;

    std::vector<listener> listeners_;  // never grows
    std::unordered_set<const task_base*> known_;
    listener* first_done_ = nullptr;
    listener* last_done_ = nullptr;
    std::size_t pending_ = 0;
    std::size_t unpopped_ = 0;
    bool has_failure_ = false;
    return_when wake_;
    wait* waiter_ = nullptr;
};

}  // namespace tercet::asyncio
