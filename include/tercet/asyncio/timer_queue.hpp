#pragma once

#include <chrono>
#include <cstdint>

namespace tercet::asyncio {

/// Something that happens at a moment. Intrusive; it must not go while it is in a queue.
class timer_node {
public:
    using time_point = std::chrono::steady_clock::time_point;
    using function = void (*)(timer_node& self) noexcept;

    /// `expire` runs in the loop's turn, after the node was taken out; it must only make things ready. `deadline` is
    /// the owner's until the node is queued.
    explicit timer_node(function expire, time_point deadline = {}) noexcept : expire_(expire), deadline_(deadline) {}
    timer_node(const timer_node&) = delete;
    timer_node& operator=(const timer_node&) = delete;

    bool is_queued() const noexcept { return link_ != nullptr; }
    time_point deadline() const noexcept { return deadline_; }

private:
    friend class timer_queue;

    function expire_;
    time_point deadline_;
    std::uint32_t sequence_ = 0;  // wraps around
    std::uint32_t slack_ = 0;     // ns from its deadline until it, or one below it in the heap, must not be later
    timer_node* child_ = nullptr;
    timer_node* sibling_ = nullptr;
    timer_node** link_ = nullptr;  // what points here: the root, a parent's child_ or a brother's sibling_
};

/// Timers by deadline, equal ones in the order in which they were added: a pairing heap. Adding is O(1), cancelling and
/// taking out O(log n) amortised, and nothing is allocated. One thread.
class timer_queue {
public:
    using time_point = timer_node::time_point;

    timer_queue() noexcept = default;
    timer_queue(const timer_queue&) = delete;
    timer_queue& operator=(const timer_queue&) = delete;

    bool empty() const noexcept { return root_ == nullptr; }
    /// The earliest deadline; there must be one.
    time_point next_deadline() const noexcept { return root_->deadline_; }
    /// When to look next: not before the earliest deadline, and not after any deadline and its slack.
    time_point next_look() const noexcept { return root_->deadline_ + std::chrono::nanoseconds(root_->slack_); }

    /// `slack`: how much later the timer may expire, in ns, if that saves a wake-up. At most some seconds.
    void add(timer_node& node, time_point deadline, std::chrono::nanoseconds slack = {}) noexcept;
    /// Takes `node` out if it is in.
    void cancel(timer_node& node) noexcept;
    /// Lets every timer expire whose deadline is not after `now`.
    void expire(time_point now) noexcept;
    /// Takes one timer out without its expiring; null when empty.
    timer_node* pop() noexcept;

private:
    static bool is_before(const timer_node& a, const timer_node& b) noexcept {
        return a.deadline_ != b.deadline_ ? a.deadline_ < b.deadline_
                                          : static_cast<std::int32_t>(a.sequence_ - b.sequence_) < 0;
    }
    static timer_node* meld(timer_node* a, timer_node* b) noexcept;
    static timer_node* meld_all(timer_node* first) noexcept;
    void set_root(timer_node* root) noexcept;

    timer_node* root_ = nullptr;
    std::uint32_t next_sequence_ = 0;
};

}  // namespace tercet::asyncio
