#pragma once

#include <tercet/futures/queue_errors.hpp>
#include <tercet/futures/time_limit.hpp>
#include <tercet/threading/queue_monitor.hpp>

#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <utility>

namespace tercet::threading {

/// What `lifo_queue` and `priority_queue` share: a queue in which `Store` says which item is next. The methods are
/// those of `queue`, with the same errors. `Store` has a `name`, `push(item)`, `next()`, `pop()`; a push that throws
/// has changed nothing, `pop` does not throw once `prepare_pop` has returned.
template <class T, class Store>
class ordered_queue {
public:
    using value_type = T;

    /// Throws `std::invalid_argument` for zero: a queue without bound has a name.
    explicit ordered_queue(std::size_t maxsize) : monitor_(queue_errors::checked_maxsize(Store::name, maxsize)) {}

    void put(const T& item, time_limit limit = {}) { check_put(put_within(item, limit)); }
    void put(T&& item, time_limit limit = {}) { check_put(put_within(std::move(item), limit)); }
    void put_nowait(const T& item) { put(item, std::chrono::seconds(0)); }
    void put_nowait(T&& item) { put(std::move(item), std::chrono::seconds(0)); }
    bool try_put(const T& item) { return put_within(item, std::chrono::seconds(0)) == outcome::ready; }
    bool try_put(T&& item) { return put_within(std::move(item), std::chrono::seconds(0)) == outcome::ready; }

    T get(time_limit limit = {}) {
        queue_monitor::visit inside(monitor_);
        if (const outcome got = inside.wait_for_item(limit); got != outcome::ready) throw_get(got);
        store_.prepare_pop();
        T item(std::move(store_.next()));
        store_.pop();
        inside.has_got();
        return item;
    }
    T get_nowait() { return get(std::chrono::seconds(0)); }
    std::optional<T> try_get() {
        std::optional<T> item;
        queue_monitor::visit inside(monitor_);
        if (inside.size() == 0) return item;
        store_.prepare_pop();
        item.emplace(std::move(store_.next()));
        store_.pop();
        inside.has_got();
        return item;
    }

    std::size_t qsize() const noexcept { return monitor_.size(); }
    bool empty() const noexcept { return qsize() == 0; }
    bool full() const noexcept { return qsize() >= maxsize(); }
    std::size_t maxsize() const noexcept { return monitor_.maxsize(); }
    void set_maxsize(std::size_t maxsize) { monitor_.set_maxsize(queue_errors::checked_maxsize(Store::name, maxsize)); }

    void task_done() {
        if (!monitor_.task_done()) queue_errors::throw_too_many_done(Store::name);
    }
    bool join(time_limit limit = {}) { return monitor_.join(limit); }

    void shutdown(bool immediate = false) {
        monitor_.shut_down();
        while (immediate && discard_one()) monitor_.task_done();
    }
    bool is_shutdown() const noexcept { return monitor_.is_shut_down(); }

    /// Empties it and forgets who waits: for the child of a fork, in which those threads do not exist. What was in it
    /// is left to the parent: a thread may have been in the middle of it, so it is not destroyed here.
    void at_fork_reinit() {
        monitor_.at_fork_reinit();
        std::construct_at(&store_);
    }

private:
    using outcome = queue_monitor::outcome;

    template <class U>
    outcome put_within(U&& item, time_limit limit) {
        queue_monitor::visit inside(monitor_);
        const outcome got = inside.wait_for_room(limit);
        if (got == outcome::ready) {
            store_.push(std::forward<U>(item));
            inside.has_put();
        }
        return got;
    }
    bool discard_one() {
        queue_monitor::visit inside(monitor_);
        if (inside.size() == 0) return false;
        store_.discard();
        inside.has_got();
        return true;
    }
    void check_put(outcome got) const {
        if (got == outcome::ready) return;
        if (got == outcome::shut_down) queue_errors::throw_shutdown(Store::name, "put");
        queue_errors::throw_full(Store::name, maxsize());
    }
    [[noreturn]] static void throw_get(outcome got) {
        if (got == outcome::shut_down) queue_errors::throw_shutdown(Store::name, "get");
        queue_errors::throw_empty(Store::name);
    }

    queue_monitor monitor_;
    Store store_;
};

}  // namespace tercet::threading
