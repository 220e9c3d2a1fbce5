#pragma once

#include <tercet/futures/queue_errors.hpp>
#include <tercet/futures/time_limit.hpp>
#include <tercet/multiprocessing/encoded_value.hpp>
#include <tercet/multiprocessing/proxy.hpp>

#include <chrono>
#include <cstddef>
#include <limits>
#include <memory>

namespace tercet::multiprocessing {

namespace served {

class queue {
public:
    static constexpr bool is_thread_safe = true;
    static constexpr std::size_t unbounded = std::numeric_limits<std::size_t>::max();

    explicit queue(std::size_t maxsize);
    ~queue();
    queue(const queue&) = delete;
    queue& operator=(const queue&) = delete;

    void put(encoded_value item, wait_time limit);
    encoded_value get(wait_time limit);
    std::size_t qsize() const;
    std::size_t maxsize() const;
    void task_done();
    bool join(wait_time limit) const;

private:
    struct state;
    std::unique_ptr<state> state_;
};

}  // namespace served

/// Python's `Queue` in a manager: first in, first out, with a bound. Unlike `multiprocessing::queue` it takes items
/// with file descriptors, so also proxies. A client that is killed while it waits takes nothing; one that is killed
/// while the answer is on its way takes its item along. Any thread.
template <class T>
class queue_proxy : public proxy<served::queue> {
public:
    using proxy<served::queue>::proxy;

    /// Waits up to `limit` for room. Throws `queue_full`.
    void put(const T& item, time_limit limit = {}) const {
        call<&served::queue::put>(encoded_value::of(item), limit.duration());
    }
    /// Throws `queue_full` at once when there is no room.
    void put_nowait(const T& item) const { put(item, std::chrono::seconds(0)); }
    /// Waits up to `limit` for an item. Throws `queue_empty`; `decode_error` when it does not decode, and is gone.
    T get(time_limit limit = {}) const { return call<&served::queue::get>(limit.duration()).template get<T>(); }
    /// Throws `queue_empty` at once when there is no item.
    T get_nowait() const { return get(std::chrono::seconds(0)); }

    /// A moment later the answers of these may be different.
    std::size_t qsize() const { return call<&served::queue::qsize>(); }
    /// There are no items.
    bool empty() const { return qsize() == 0; }
    /// There is no room.
    bool full() const { return qsize() >= maxsize(); }
    /// How many items have room; the greatest `std::size_t` when there is no bound.
    std::size_t maxsize() const { return call<&served::queue::maxsize>(); }

    /// Says that one item was dealt with. Throws `std::invalid_argument` when that was said of all already.
    void task_done() const { call<&served::queue::task_done>(); }
    /// Waits up to `limit` until that was said of every item. Returns whether it was.
    bool join(time_limit limit = {}) const { return call<&served::queue::join>(limit.duration()); }
};

}  // namespace tercet::multiprocessing
