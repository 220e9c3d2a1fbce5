#pragma once

#include <tercet/futures/time_limit.hpp>
#include <tercet/threading/waiting_line.hpp>

#include <chrono>
#include <cstddef>
#include <limits>

namespace tercet::threading {

/// The waiting of the queues that are not FIFO: one mutex, and a line each for those who wait for room, for an item,
/// and for all items to be done.
class queue_monitor {
public:
    static constexpr std::size_t unbounded = std::numeric_limits<std::size_t>::max();
    enum class outcome { ready, timed_out, shut_down };

    explicit queue_monitor(std::size_t maxsize) noexcept : maxsize_(maxsize) {}

    /// Inside of a put or a get: has the mutex; frees it, and then wakes who has something to do now.
    class visit {
    public:
        explicit visit(queue_monitor& owner) noexcept : guard_(owner.mutex_), owner_(owner) {}
        visit(const visit&) = delete;
        visit& operator=(const visit&) = delete;
        /// One who waits for what this thread has left looks too, whether it was used or not.
        ~visit() { owner_.leave(*this); }

        outcome wait_for_room(time_limit limit);
        outcome wait_for_item(time_limit limit);
        void has_put() noexcept { ++owner_.size_, ++owner_.unfinished_; }
        void has_got() noexcept { --owner_.size_; }
        std::size_t size() const noexcept { return owner_.size_; }

    private:
        friend queue_monitor;
        waiting_line::awakened getter_;
        waiting_line::awakened putter_;
        waiting_line::guard_type guard_;
        queue_monitor& owner_;
    };

    std::size_t size() const noexcept;
    std::size_t maxsize() const noexcept;
    void set_maxsize(std::size_t maxsize) noexcept;
    bool task_done() noexcept;
    bool join(time_limit limit);
    void shut_down() noexcept;
    bool is_shut_down() const noexcept;
    /// Nobody waits, nothing is there.
    void at_fork_reinit() noexcept;

private:
    void leave(visit& visitor) noexcept;

    mutable quick_lock mutex_;
    waiting_line getters_;
    waiting_line putters_;
    waiting_line joiners_;
    std::size_t maxsize_;
    std::size_t size_ = 0;
    std::size_t unfinished_ = 0;
    bool is_shut_down_ = false;
};

}  // namespace tercet::threading
