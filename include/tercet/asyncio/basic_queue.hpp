#pragma once

#include <tercet/asyncio/queue_gate.hpp>
#include <tercet/futures/queue_errors.hpp>

#include <cstddef>
#include <optional>
#include <type_traits>
#include <utility>

namespace tercet::asyncio {

/// What `queue`, `lifo_queue` and `priority_queue` share; `Store` says which item is next. A `Store` has a `name`,
/// `size()`, `push(item)`, which changes nothing when it throws, `pop()`, which may throw and then changes nothing
/// either, and is empty when it was moved from.
///
/// For the tasks of one loop; `thread_queue` is for threads.
template <class T, class Store>
class basic_queue {
    static_assert(
        std::is_nothrow_move_constructible_v<T>,
        "items go from task to task by moves that must not throw: put a std::unique_ptr to it into the queue");

public:
    using value_type = T;

    class put_awaiter final : public queue_gate::party {
    public:
        template <class... Args>
        explicit put_awaiter(basic_queue& owner, Args&&... args) : owner_(owner), item_(std::forward<Args>(args)...) {}
        void await_resume() const {
            throw_if_failed();
            if (has_ended_by_shutdown()) [[unlikely]]
                queue_errors::throw_shutdown(Store::name, "put");
        }

    private:
        friend class basic_queue;
        bool begin() noexcept override {
            try {
                switch (owner_.offer(std::move(item_))) {
                    case reply::accepted:
                        break;
                    case reply::is_full:
                        wait_in(owner_.gate_.putters());
                        return false;
                    case reply::is_shut_down:
                        end_by_shutdown();
                }
            } catch (...) {
                fail(std::current_exception());
            }
            return true;
        }

        basic_queue& owner_;
        T item_;
    };

    class next_awaiter : public queue_gate::party {
    public:
        explicit next_awaiter(basic_queue& owner) noexcept : owner_(owner) {}
        std::optional<T> await_resume() {
            throw_if_failed();
            return std::move(item_);
        }

    protected:
        std::optional<T> item_;

    private:
        friend class basic_queue;
        bool begin() noexcept final {
            try {
                if (owner_.take(item_)) return true;
            } catch (...) {
                fail(std::current_exception());
                return true;
            }
            if (owner_.gate_.is_shut_down()) {
                end_by_shutdown();
                return true;
            }
            wait_in(owner_.gate_.getters());
            return false;
        }

        basic_queue& owner_;
    };

    class get_awaiter final : public next_awaiter {
    public:
        using next_awaiter::next_awaiter;
        T await_resume() {
            this->throw_if_failed();
            if (this->has_ended_by_shutdown()) [[unlikely]]
                queue_errors::throw_shutdown(Store::name, "get");
            return std::move(*this->item_);
        }
    };

    /// Room for `maxsize` items. Throws `std::invalid_argument` for zero: a queue without bound has a name.
    explicit basic_queue(std::size_t maxsize) : gate_(queue_errors::checked_maxsize(Store::name, maxsize)) {}

    /// Puts `item`, waiting while there is no room. Throws `queue_shutdown`, `cancelled_error`, and what copying or
    /// comparing the item throws. Cancel safety: a cancelled put puts nothing, and its item goes with it; one that was
    /// taken in before the cancellation stays.
    [[nodiscard]] put_awaiter put(const T& item) { return put_awaiter(*this, item); }
    [[nodiscard]] put_awaiter put(T&& item) { return put_awaiter(*this, std::move(item)); }
    /// The same for an item that is made of `args` on the spot. (`put(page{"x", 2})`, with an aggregate made in the
    /// awaited expression, is what g++ 12 compiles wrongly: it copies the temporary byte by byte.)
    template <class... Args>
    [[nodiscard]] put_awaiter emplace(Args&&... args) {
        return put_awaiter(*this, std::forward<Args>(args)...);
    }
    /// Puts `item` or throws `queue_full`, `queue_shutdown`; after these `item` has not been moved from.
    void put_nowait(const T& item) { check_put(offer(item)); }
    void put_nowait(T&& item) { check_put(offer(std::move(item))); }
    /// False, and `item` untouched, when there is no room or the queue was shut down.
    bool try_put(const T& item) { return offer(item) == reply::accepted; }
    bool try_put(T&& item) { return offer(std::move(item)) == reply::accepted; }

    /// Takes the next item, waiting for one. Throws `queue_shutdown` when none will come any more, and
    /// `cancelled_error`. Cancel safety: a cancelled get takes nothing; an item that was given to it before the
    /// cancellation is returned, and the next wait throws.
    [[nodiscard]] get_awaiter get() noexcept { return get_awaiter(*this); }
    /// The same, and nothing when none will come any more:
    /// `while (auto item = co_await jobs.next()) work_on(*item);`
    [[nodiscard]] next_awaiter next() noexcept { return next_awaiter(*this); }
    /// Takes the next item. Throws `queue_empty`, `queue_shutdown`.
    T get_nowait() {
        std::optional<T> item = try_get();
        if (item) return std::move(*item);
        if (gate_.is_shut_down()) queue_errors::throw_shutdown(Store::name, "get");
        queue_errors::throw_empty(Store::name);
    }
    /// Nothing when there is no item.
    std::optional<T> try_get() {
        std::optional<T> item;
        take(item);
        return item;
    }

    /// How many items are there; those of puts that wait are not counted.
    std::size_t qsize() const noexcept { return store_.size(); }
    bool empty() const noexcept { return qsize() == 0; }
    bool full() const noexcept { return qsize() >= maxsize(); }
    std::size_t maxsize() const noexcept { return gate_.maxsize(); }
    /// Changes the bound. Items that are there stay, also when they are more. Throws `std::invalid_argument` for zero.
    void set_maxsize(std::size_t maxsize) {
        gate_.set_maxsize(queue_errors::checked_maxsize(Store::name, maxsize));
        let_putters_in();
    }

    /// Says that one item, usually the one taken last, was dealt with. Throws `std::invalid_argument` when that was
    /// said of all already.
    void task_done() { gate_.task_done(Store::name, 1); }
    /// Waits until `task_done` was said of every item that was put. Throws `cancelled_error`. Cancel safety: nothing to
    /// lose. May be used again.
    [[nodiscard]] queue_gate::join_awaiter join() noexcept { return gate_.join(); }

    /// Takes no more items: `put` throws `queue_shutdown`, also where it waits; `get` does once the queue is empty.
    /// With `immediate` the items that are there are destroyed and count as done. May be called again, also to become
    /// immediate.
    void shutdown(bool immediate = false) {
        gate_.shut_down();
        if (!immediate) return;
        const Store dropped = std::move(store_);
        gate_.drop(dropped.size());
    }
    bool is_shutdown() const noexcept { return gate_.is_shut_down(); }

private:
    enum class reply : std::uint8_t { accepted, is_full, is_shut_down };

    /// Gives `item` to who waits for one, or stores it.
    template <class U>
    reply offer(U&& item) {
        if (auto* const getter = static_cast<next_awaiter*>(gate_.getters().front())) {
            getter->item_.emplace(std::forward<U>(item));
            gate_.getters().pop();
        } else {
            if (gate_.is_shut_down()) return reply::is_shut_down;
            if (full()) return reply::is_full;
            store_.push(std::forward<U>(item));
        }
        gate_.has_put();
        return reply::accepted;
    }
    void check_put(reply got) const {
        if (got == reply::accepted) return;
        if (got == reply::is_shut_down) queue_errors::throw_shutdown(Store::name, "put");
        queue_errors::throw_full(Store::name, maxsize());
    }

    bool take(std::optional<T>& into) {
        if (store_.size() == 0) return false;
        store_.pop(into);
        if (!gate_.putters().empty()) let_putters_in();
        return true;
    }
    void let_putters_in() noexcept {
        while (!full()) {
            auto* const putter = static_cast<put_awaiter*>(gate_.putters().front());
            if (!putter) return;
            try {
                store_.push(std::move(putter->item_));
                gate_.has_put();
            } catch (...) {
                putter->fail(std::current_exception());
            }
            gate_.putters().pop();
        }
    }

    queue_gate gate_;
    Store store_;
};

}  // namespace tercet::asyncio
