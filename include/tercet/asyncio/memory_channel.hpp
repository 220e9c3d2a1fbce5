#pragma once

#include <tercet/asyncio/memory_channel_gate.hpp>
#include <tercet/asyncio/ring_store.hpp>

#include <cstddef>
#include <exception>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

namespace tercet::asyncio {

/// What the ends of a channel share.
template <class T>
class memory_channel_core {
    static_assert(
        std::is_nothrow_move_constructible_v<T>,
        "items go from task to task by moves that must not throw: put a std::unique_ptr to it into the channel");

public:
    using gate = memory_channel_gate;
    using shared = std::shared_ptr<memory_channel_core>;

    class send_awaiter final : public gate::party {
    public:
        template <class U>
        send_awaiter(shared core, gate::end_id end, U&& item)
            : party(end), core_(std::move(core)), item_(std::forward<U>(item)) {}
        void await_resume() const {
            throw_unless_done();
            if (error_) [[unlikely]]
                std::rethrow_exception(error_);
        }

    private:
        friend class memory_channel_core;
        bool begin() noexcept override {
            try {
                const gate::ending how = core_->offer(end(), std::move(item_));
                if (how != gate::ending::would_block) return end_as(how);
            } catch (...) {
                error_ = std::current_exception();
                return true;
            }
            wait_in(core_->gate_.senders());
            return false;
        }

        shared core_;
        T item_;
        std::exception_ptr error_;
    };

    class next_awaiter : public gate::party {
    public:
        next_awaiter(shared core, gate::end_id end) noexcept : party(end), core_(std::move(core)) {}
        std::optional<T> await_resume() {
            if (!has_come_to_the_end()) throw_unless_done();
            return std::move(item_);
        }

    protected:
        std::optional<T> item_;

    private:
        friend class memory_channel_core;
        bool begin() noexcept final {
            const gate::ending how = core_->take(end(), item_);
            if (how != gate::ending::would_block) return end_as(how);
            wait_in(core_->gate_.receivers());
            return false;
        }

        shared core_;
    };

    class receive_awaiter final : public next_awaiter {
    public:
        using next_awaiter::next_awaiter;
        T await_resume() {
            this->throw_unless_done();
            return std::move(*this->item_);
        }
    };

    explicit memory_channel_core(std::size_t max_buffer_size) noexcept : gate_(max_buffer_size) {}

    /// Gives `item`, which else stays as it is, to who waits for one, or stores it.
    template <class U>
    gate::ending offer(gate::end_id end, U&& item) {
        if (end == 0) return gate::ending::closed_here;
        if (gate_.open_receivers() == 0) return gate::ending::no_receivers;
        if (auto* const first = static_cast<next_awaiter*>(gate_.receivers().front())) {
            first->item_.emplace(std::forward<U>(item));
            gate_.receivers().pop();
            return gate::ending::done;
        }
        if (items_.size() >= gate_.max_buffer_size()) return gate::ending::would_block;
        items_.push(std::forward<U>(item));
        return gate::ending::done;
    }

    gate::ending take(gate::end_id end, std::optional<T>& into) noexcept {
        if (end == 0) return gate::ending::closed_here;
        auto* const sender = static_cast<send_awaiter*>(gate_.senders().front());
        if (items_.size() > 0) {
            items_.pop(into);
            if (sender) items_.push(std::move(sender->item_));  // there is room, and so memory
        } else if (sender) {
            into.emplace(std::move(sender->item_));
        } else {
            return gate_.open_senders() == 0 ? gate::ending::no_senders : gate::ending::would_block;
        }
        if (sender) gate_.senders().pop();
        return gate::ending::done;
    }

    void close_sender(gate::end_id end) noexcept { gate_.close_sender(end); }
    void close_receiver(gate::end_id end) noexcept {
        gate_.close_receiver(end);
        if (gate_.open_receivers() == 0) const ring_store<T> dropped = std::move(items_);
    }

    gate& ends() noexcept { return gate_; }
    std::size_t size() const noexcept { return items_.size(); }

private:
    gate gate_;
    ring_store<T> items_;
};

/// The sending end of a channel: Python's MemoryObjectSendStream of anyio. Closed when it goes. The loop's thread.
template <class T>
class memory_send_channel {
    using core = memory_channel_core<T>;

public:
    /// The result of `open_memory_channel` has the first.
    explicit memory_send_channel(std::shared_ptr<core> shared)
        : core_(std::move(shared)), end_(core_->ends().open_sender()) {}
    memory_send_channel(memory_send_channel&& other) noexcept
        : core_(other.core_), end_(std::exchange(other.end_, 0)) {}
    memory_send_channel& operator=(memory_send_channel&& other) noexcept {
        std::swap(core_, other.core_);
        std::swap(end_, other.end_);
        return *this;
    }
    ~memory_send_channel() { close(); }

    /// Gives `item` to the receiver that has waited longest, or stores it; waits while the buffer is full. Throws
    /// `broken_resource_error` when all receivers are closed, `closed_resource_error` when this end is, also while it
    /// waits, `cancelled_error`, and what copying the item throws. Cancel safety: a cancelled send sends nothing, and
    /// its item goes with it; one that was taken before the cancellation stays sent.
    [[nodiscard]] auto send(const T& item) { return typename core::send_awaiter(core_, end_, item); }
    [[nodiscard]] auto send(T&& item) { return typename core::send_awaiter(core_, end_, std::move(item)); }
    /// The same without waiting: throws `would_block` where `send` would wait; after any of these errors `item` has not
    /// been moved from.
    void send_nowait(const T& item) { check(core_->offer(end_, item)); }
    void send_nowait(T&& item) { check(core_->offer(end_, std::move(item))); }

    /// Another sending end of the same channel: the receivers come to the end when all are closed. Throws
    /// `closed_resource_error` when this one is closed.
    memory_send_channel clone() const {
        if (end_ == 0) check(core::gate::ending::closed_here);
        return memory_send_channel(core_);
    }
    /// Sends that wait at this end are over with `closed_resource_error`. May be called again.
    void close() noexcept {
        if (const auto closed = std::exchange(end_, 0)) core_->close_sender(closed);
    }
    /// After `close`.
    bool is_closed() const noexcept { return end_ == 0; }

private:
    static void check(typename core::gate::ending how) {
        if (how != core::gate::ending::done) core::gate::throw_ended(how);
    }

    std::shared_ptr<core> core_;
    memory_channel_gate::end_id end_;
};

/// The receiving end of a channel: Python's MemoryObjectReceiveStream of anyio. Closed when it goes. The loop's thread.
template <class T>
class memory_receive_channel {
    using core = memory_channel_core<T>;

public:
    /// The result of `open_memory_channel` has the first.
    explicit memory_receive_channel(std::shared_ptr<core> shared)
        : core_(std::move(shared)), end_(core_->ends().open_receiver()) {}
    memory_receive_channel(memory_receive_channel&& other) noexcept
        : core_(other.core_), end_(std::exchange(other.end_, 0)) {}
    memory_receive_channel& operator=(memory_receive_channel&& other) noexcept {
        std::swap(core_, other.core_);
        std::swap(end_, other.end_);
        return *this;
    }
    ~memory_receive_channel() { close(); }

    /// Takes the oldest item, waiting for one. Throws `end_of_channel` when all senders are closed and everything was
    /// taken, `closed_resource_error` when this end is closed, also while it waits, and `cancelled_error`. Cancel
    /// safety: a cancelled receive takes nothing; an item that was given to it before the cancellation is returned, and
    /// the next wait throws.
    [[nodiscard]] auto receive() noexcept { return typename core::receive_awaiter(core_, end_); }
    /// The same, and nothing where `receive` throws `end_of_channel`:
    /// `while (auto item = co_await receiver.next()) work_on(*item);`
    [[nodiscard]] auto next() noexcept { return typename core::next_awaiter(core_, end_); }
    /// The same as `receive` without waiting: throws `would_block` when there is nothing.
    T receive_nowait() {
        std::optional<T> item;
        check(core_->take(end_, item));
        return std::move(*item);
    }

    /// Another receiving end of the same channel; an item goes to one of them. Throws `closed_resource_error` when this
    /// one is closed.
    memory_receive_channel clone() const {
        if (end_ == 0) check(core::gate::ending::closed_here);
        return memory_receive_channel(core_);
    }
    /// Receives that wait at this end are over with `closed_resource_error`. When the last receiver is closed, what is
    /// stored is destroyed, and sends throw `broken_resource_error`. May be called again.
    void close() noexcept {
        if (const auto closed = std::exchange(end_, 0)) core_->close_receiver(closed);
    }
    bool is_closed() const noexcept { return end_ == 0; }

    /// How many items are stored.
    std::size_t size() const noexcept { return core_->size(); }

private:
    static void check(typename core::gate::ending how) {
        if (how != core::gate::ending::done) core::gate::throw_ended(how);
    }

    std::shared_ptr<core> core_;
    memory_channel_gate::end_id end_;
};

/// The two ends of a channel.
template <class T>
struct memory_channel {
    static constexpr std::size_t unbounded = memory_channel_gate::unbounded;

    memory_send_channel<T> sender;
    memory_receive_channel<T> receiver;
};

/// A way for items from tasks to tasks of one loop that knows when a side is done: trio's open_memory_channel. Stores
/// `max_buffer_size` items; with none, a send waits until its item is taken. More than memory holds has to be asked for
/// by name, `memory_channel<T>::unbounded`.
///
///     auto [sender, receiver] = open_memory_channel<page>(16);
template <class T>
memory_channel<T> open_memory_channel(std::size_t max_buffer_size = 0) {
    auto core = std::make_shared<memory_channel_core<T>>(max_buffer_size);
    return {memory_send_channel<T>(core), memory_receive_channel<T>(core)};
}

}  // namespace tercet::asyncio
