#pragma once

#include <tercet/futures/queue_errors.hpp>
#include <tercet/futures/time_limit.hpp>
#include <tercet/threading/fifo_channel.hpp>

#include <chrono>
#include <cstddef>
#include <optional>
#include <utility>

namespace tercet::threading {

/// First in, first out, between any number of threads; each sees the items of another in the order in which that one
/// put them. Has a bound: who puts faster than others take, waits. Made for streams: one thread that puts and one that
/// takes meet in no lock, and look a moment before they sleep. Items move in and out; what was taken is gone from the
/// queue. May be destroyed as soon as no thread waits in it and the last item was taken.
///
///     queue<page> pages(100);
///     pages.put(download(url));              // a thread that produces
///     page next = pages.get(); ...           // a thread that consumes
///     pages.task_done();
template <class T>
class queue {
public:
    using value_type = T;

    /// Room for `maxsize` items. Throws `std::invalid_argument` for zero: a queue without bound has a name.
    explicit queue(std::size_t maxsize) : items_(queue_errors::checked_maxsize("queue", maxsize)) {}
    /// A queue on which `put` never waits, and memory is the bound.
    static queue unbounded() { return queue(fifo_gate::unbounded); }

    /// Puts `item`, waiting up to `limit` for room. Throws `queue_full` when there was none, `queue_shutdown`, and what
    /// the item's constructor throws; after any of these `item` is not in the queue, and after the first two it has
    /// not been moved from.
    void put(const T& item, time_limit limit = {}) { check_put(items_.put(item, limit)); }
    void put(T&& item, time_limit limit = {}) { check_put(items_.put(std::move(item), limit)); }
    void put_nowait(const T& item) { put(item, std::chrono::seconds(0)); }
    void put_nowait(T&& item) { put(std::move(item), std::chrono::seconds(0)); }
    /// False, and `item` untouched, when there is no room or the queue was shut down.
    bool try_put(const T& item) { return items_.put(item, std::chrono::seconds(0)) == outcome::ready; }
    bool try_put(T&& item) { return items_.put(std::move(item), std::chrono::seconds(0)) == outcome::ready; }

    /// Takes the oldest item, waiting up to `limit` for one. Throws `queue_empty` when none came, `queue_shutdown` when
    /// none will come any more, and what the item's move constructor throws; then the item stays.
    T get(time_limit limit = {}) { return items_.get(limit, &throw_get); }
    T get_nowait() { return get(std::chrono::seconds(0)); }
    /// Nothing when there is no item.
    std::optional<T> try_get() { return items_.try_get(); }

    /// A moment later the answers of these may be different.
    std::size_t qsize() const noexcept { return items_.gate().size(); }
    bool empty() const noexcept { return qsize() == 0; }
    bool full() const noexcept { return qsize() >= maxsize(); }
    std::size_t maxsize() const noexcept { return items_.gate().maxsize(); }

    /// Changes the bound. Items that are there stay, also when they are more. Throws `std::invalid_argument` for zero.
    void set_maxsize(std::size_t maxsize) {
        items_.gate().set_maxsize(queue_errors::checked_maxsize("queue", maxsize));
    }

    /// Says that one item, usually the one taken last, was dealt with. Throws `std::invalid_argument` when that was
    /// said of all already.
    void task_done() {
        if (!items_.gate().task_done()) queue_errors::throw_too_many_done("queue");
    }
    /// Waits up to `limit` until `task_done` was said of every item that was put. Returns whether it was. May be used
    /// again.
    bool join(time_limit limit = {}) { return items_.gate().join(limit); }

    /// Takes no more items: `put` throws `queue_shutdown`, also where it waits; `get` does once the queue is empty.
    /// With `immediate` the items that are there are destroyed and count as done. May be called again, also to become
    /// immediate.
    void shutdown(bool immediate = false) {
        items_.gate().shut_down();
        if (!immediate) return;
        while (items_.discard_one()) items_.gate().task_done();
    }
    bool is_shutdown() const noexcept { return items_.gate().is_shut_down(); }

    /// Empties it and forgets who waits: for the child of a fork, in which those threads do not exist. What was in it
    /// is left to the parent: a thread may have been in the middle of it, so it is not destroyed here.
    void at_fork_reinit() { items_.at_fork_reinit(); }

private:
    using outcome = fifo_gate::outcome;

    void check_put(outcome got) const {
        if (got == outcome::ready) [[likely]]
            return;
        if (got == outcome::shut_down) queue_errors::throw_shutdown("queue", "put");
        queue_errors::throw_full("queue", maxsize());
    }
    [[noreturn]] static void throw_get(outcome got) {
        if (got == outcome::shut_down) queue_errors::throw_shutdown("queue", "get");
        queue_errors::throw_empty("queue");
    }

    fifo_channel<T> items_;
};

}  // namespace tercet::threading
