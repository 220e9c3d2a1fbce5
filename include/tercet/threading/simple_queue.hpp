#pragma once

#include <tercet/futures/queue_errors.hpp>
#include <tercet/futures/time_limit.hpp>
#include <tercet/threading/fifo_channel.hpp>

#include <chrono>
#include <cstddef>
#include <optional>
#include <utility>

namespace tercet::threading {

/// First in, first out, without bound, and nothing else: `put` never waits. Any number of threads. Where items may
/// come faster than they are taken, use `queue`, which has a bound. May be destroyed as `queue` may.
template <class T>
class simple_queue {
public:
    using value_type = T;

    simple_queue() : items_(fifo_gate::unbounded) {}

    /// Throws what the item's constructor throws; then it is not in the queue.
    void put(const T& item) { items_.put(item, {}); }
    void put(T&& item) { items_.put(std::move(item), {}); }
    void put_nowait(const T& item) { put(item); }
    void put_nowait(T&& item) { put(std::move(item)); }

    /// Takes the oldest item, waiting up to `limit` for one. Throws `queue_empty` when none came, and what the item's
    /// move constructor throws; then the item stays.
    T get(time_limit limit = {}) {
        return items_.get(limit, [](fifo_gate::outcome) { queue_errors::throw_empty("simple_queue"); });
    }
    T get_nowait() { return get(std::chrono::seconds(0)); }
    /// Nothing when there is no item.
    std::optional<T> try_get() { return items_.try_get(); }

    /// A moment later the answers of these may be different.
    std::size_t qsize() const noexcept { return items_.gate().size(); }
    bool empty() const noexcept { return qsize() == 0; }

    /// Empties it and forgets who waits: for the child of a fork, in which those threads do not exist. What was in it
    /// is left to the parent: a thread may have been in the middle of it, so it is not destroyed here.
    void at_fork_reinit() { items_.at_fork_reinit(); }

private:
    fifo_channel<T> items_;
};

}  // namespace tercet::threading
