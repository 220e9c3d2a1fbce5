#pragma once

#include <tercet/multiprocessing/queue.hpp>

#include <cstddef>

namespace tercet::multiprocessing {

/// A `queue` that also knows which of its items were dealt with.
///
///     joinable_queue<page> pages(100);
///     page next = pages.get(); ... pages.task_done();   // in the processes that work
///     pages.join();                                     // in the one that waits for them
template <class T>
class joinable_queue : public queue<T> {
public:
    joinable_queue() noexcept = default;
    explicit joinable_queue(std::size_t maxsize) : queue<T>(maxsize, "joinable_queue") {}
    static joinable_queue unbounded() { return joinable_queue(message_queue::unbounded); }

    /// Says that one item, usually the one taken last, was dealt with. Throws `std::invalid_argument` when that was
    /// said of all already.
    void task_done() { this->items_.task_done(); }
    /// Waits up to `limit` until `task_done` was said of every item that was put. Returns whether it was; for an item
    /// whose process died with it nobody says it. May be used again. Throws `invalid_state_error` when this handle is
    /// closed.
    bool join(time_limit limit = {}) { return this->items_.join(limit); }
};

}  // namespace tercet::multiprocessing
