#pragma once

#include <tercet/asyncio/ring_store.hpp>
#include <tercet/asyncio/thread_queue_gate.hpp>
#include <tercet/futures/queue_errors.hpp>
#include <tercet/futures/time_limit.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <limits>
#include <optional>
#include <type_traits>
#include <utility>

namespace tercet::asyncio {

/// First in, first out, between threads and tasks, in both directions. Threads block in `put` and `get`; tasks, of any
/// number of loops, await `put_async`, `get_async` and `next_async`. Both stand in the same lines, first come, first
/// served, and the queue has a bound for both. Every method may be called from any thread. A burst of items wakes a
/// loop that sleeps once. It must outlive those who use it.
///
///     thread_queue<reading> readings(100);
///     readings.put(sensor.read());                                          // a thread; in the end shutdown()
///     while (auto next = co_await readings.next_async()) store(*next);      // a task
template <class T>
class thread_queue {
    static_assert(
        std::is_nothrow_move_constructible_v<T>,
        "items go from thread to thread by moves that must not throw: put a std::unique_ptr to it in the queue");
    using gate = thread_queue_gate;

public:
    using value_type = T;

    class put_awaiter final : public gate::task_party {
    public:
        template <class... Args>
        explicit put_awaiter(thread_queue& owner, Args&&... args)
            : gate::task_party(owner.gate_, &item_), owner_(owner), item_(std::forward<Args>(args)...) {}
        void await_resume() const {
            this->throw_if_cancelled();
            if (error_) std::rethrow_exception(error_);
            if (this->ended() == gate::ending::shut_down) queue_errors::throw_shutdown(name, "put_async");
        }

    private:
        bool begin() noexcept override {
            gate::awakened woken;
            const gate::guard_type guard(owner_.gate_.mutex());
            try {
                const reply got = owner_.offer(std::move(item_), woken);
                if (got == reply::is_shut_down) this->end_by_shutdown();
                if (got != reply::is_full) return true;
            } catch (...) {
                error_ = std::current_exception();
                return true;
            }
            this->wait_in(owner_.gate_.putters());
            return false;
        }

        thread_queue& owner_;
        T item_;
        std::exception_ptr error_;
    };

    class next_awaiter : public gate::task_party {
    public:
        explicit next_awaiter(thread_queue& owner) noexcept : gate::task_party(owner.gate_, &item_), owner_(owner) {}
        std::optional<T> await_resume() {
            this->throw_if_cancelled();
            return std::move(item_);
        }

    protected:
        std::optional<T> item_;

    private:
        bool begin() noexcept final {
            gate::awakened woken;
            const gate::guard_type guard(owner_.gate_.mutex());
            if (owner_.take(item_, woken)) return true;
            if (owner_.gate_.is_shut_down()) {
                this->end_by_shutdown();
                return true;
            }
            this->wait_in(owner_.gate_.getters());
            return false;
        }

        thread_queue& owner_;
    };

    class get_awaiter final : public next_awaiter {
    public:
        using next_awaiter::next_awaiter;
        T await_resume() {
            this->throw_if_cancelled();
            if (this->ended() == gate::ending::shut_down) queue_errors::throw_shutdown(name, "get_async");
            return std::move(*this->item_);
        }
    };

    /// Room for `maxsize` items. Throws `std::invalid_argument` for zero: a queue without bound has a name.
    explicit thread_queue(std::size_t maxsize) : gate_(queue_errors::checked_maxsize(name, maxsize)) {}
    /// A queue on which nobody waits to put, and memory is the bound; it keeps what it had at most.
    static thread_queue unbounded() { return thread_queue(std::numeric_limits<std::size_t>::max()); }

    // For threads. On the thread of a loop that runs, those that would block throw `invalid_state_error`.

    /// Puts `item`, waiting up to `limit` for room. Throws `queue_full` when there was none, and `queue_shutdown`;
    /// after these `item` has not been moved from.
    void put(T&& item, time_limit limit = {}) {
        gate::require_no_loop(limit, "put", "put_async");
        switch (put_within(item, limit)) {
            case gate::ending::done:
                return;
            case gate::ending::shut_down:
                queue_errors::throw_shutdown(name, "put");
            case gate::ending::timed_out:
                queue_errors::throw_full(name, maxsize());
        }
    }
    void put(const T& item, time_limit limit = {}) {
        T copy(item);  // another thread may have to move it
        put(std::move(copy), limit);
    }
    /// Takes the oldest item, waiting up to `limit` for one. Throws `queue_empty` when none came, and `queue_shutdown`
    /// when none will come any more.
    T get(time_limit limit = {}) {
        gate::require_no_loop(limit, "get", "get_async");
        std::optional<T> item;
        switch (get_within(item, limit)) {
            case gate::ending::done:
                break;
            case gate::ending::shut_down:
                queue_errors::throw_shutdown(name, "get");
            case gate::ending::timed_out:
                queue_errors::throw_empty(name);
        }
        return std::move(*item);
    }

    /// Waits up to `limit` until `task_done` was said of every item that was put. Returns whether it was. May be used
    /// again.
    bool join(time_limit limit = {}) {
        gate::require_no_loop(limit, "join", "join_async");
        return gate_.join(limit);
    }

    // For tasks

    /// Puts `item`, waiting while there is no room. Throws `queue_shutdown`, `cancelled_error`. Cancel safety: a
    /// cancelled put puts nothing, and its item goes with it; one that was taken in before the cancellation stays.
    [[nodiscard]] put_awaiter put_async(const T& item) { return put_awaiter(*this, item); }
    [[nodiscard]] put_awaiter put_async(T&& item) { return put_awaiter(*this, std::move(item)); }
    /// Takes the oldest item, waiting for one. Throws `queue_shutdown` when none will come any more, and
    /// `cancelled_error`. Cancel safety: a cancelled get takes nothing; an item that was given to it before the
    /// cancellation is returned, and the next wait throws.
    [[nodiscard]] get_awaiter get_async() noexcept { return get_awaiter(*this); }
    /// The same, and nothing when none will come any more.
    [[nodiscard]] next_awaiter next_async() noexcept { return next_awaiter(*this); }

    /// Waits until `task_done` was said of every item that was put. Throws `cancelled_error`. Cancel safety: nothing to
    /// lose. May be used again.
    [[nodiscard]] gate::join_awaiter join_async() noexcept { return gate::join_awaiter(gate_); }

    // For both: these do not wait.

    /// Puts `item` or throws `queue_full`, `queue_shutdown`.
    void put_nowait(const T& item) { put(item, std::chrono::seconds(0)); }
    void put_nowait(T&& item) { put(std::move(item), std::chrono::seconds(0)); }
    /// False, and `item` untouched, when there is no room or the queue was shut down.
    bool try_put(T&& item) { return put_within(item, std::chrono::seconds(0)) == gate::ending::done; }
    bool try_put(const T& item) { return try_put(T(item)); }
    /// Takes the oldest item or throws `queue_empty`, `queue_shutdown`.
    T get_nowait() { return get(std::chrono::seconds(0)); }
    /// Nothing when there is no item.
    std::optional<T> try_get() {
        std::optional<T> item;
        get_within(item, std::chrono::seconds(0));
        return item;
    }

    /// Says that one item, usually the one taken last, was dealt with. Throws `std::invalid_argument` when that was
    /// said of all already.
    void task_done() {
        gate::awakened woken;
        const gate::guard_type guard(gate_.mutex());
        if (!gate_.task_done(1, woken)) queue_errors::throw_too_many_done(name);
    }

    /// A moment later the answers of these may be different.
    std::size_t qsize() const {
        const gate::guard_type guard(gate_.mutex());
        return store_.size();
    }
    bool empty() const { return qsize() == 0; }
    bool full() const { return qsize() >= maxsize(); }
    std::size_t maxsize() const noexcept { return gate_.maxsize(); }

    /// Takes no more items: puts throw `queue_shutdown`, also where they wait; gets do once the queue is empty. With
    /// `immediate` the items that are there are destroyed and count as done. May be called again, also to become
    /// immediate.
    void shutdown(bool immediate = false) {
        gate::awakened woken;
        std::optional<ring_store<T>> dropped;  // items go without the mutex
        const gate::guard_type guard(gate_.mutex());
        gate_.shut_down(woken);
        if (!immediate) return;
        dropped.emplace(std::move(store_));
        gate_.drop(dropped->size(), woken);
    }
    bool is_shutdown() const {
        const gate::guard_type guard(gate_.mutex());
        return gate_.is_shut_down();
    }

private:
    static constexpr const char* name = "thread_queue";
    enum class reply : std::uint8_t { accepted, is_full, is_shut_down };

    /// Gives `item` to the first who waits for one, or stores it. With the mutex held, as `take`.
    reply offer(T&& item, gate::awakened& woken) {
        if (gate::party* const getter = gate_.getters().front()) {
            static_cast<std::optional<T>*>(getter->cargo())->emplace(std::move(item));
            woken.take(gate_.getters());
            gate_.has_put();
            return reply::accepted;
        }
        if (gate_.is_shut_down()) return reply::is_shut_down;
        if (store_.size() >= gate_.maxsize()) return reply::is_full;
        store_.push(std::move(item));
        gate_.has_put();
        return reply::accepted;
    }
    bool take(std::optional<T>& into, gate::awakened& woken) noexcept {
        if (store_.size() == 0) return false;
        store_.pop(into);
        if (gate::party* const putter = gate_.putters().front()) {
            store_.push(std::move(*static_cast<T*>(putter->cargo())));  // into the room that has just come
            woken.take(gate_.putters());
            gate_.has_put();
        }
        return true;
    }

    gate::ending put_within(T& item, time_limit limit) {
        gate::awakened woken;
        gate::guard_type guard(gate_.mutex());
        const reply got = offer(std::move(item), woken);
        if (got == reply::accepted) return gate::ending::done;
        if (got == reply::is_shut_down) return gate::ending::shut_down;
        gate::thread_party mine(&item);
        return mine.wait(gate_.putters(), guard, limit);
    }
    gate::ending get_within(std::optional<T>& into, time_limit limit) {
        gate::awakened woken;
        gate::guard_type guard(gate_.mutex());
        if (take(into, woken)) return gate::ending::done;
        if (gate_.is_shut_down()) return gate::ending::shut_down;
        gate::thread_party mine(&into);
        return mine.wait(gate_.getters(), guard, limit);
    }

    gate gate_;
    ring_store<T> store_;
};

}  // namespace tercet::asyncio
