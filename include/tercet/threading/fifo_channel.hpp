#pragma once

#include <tercet/threading/fifo_gate.hpp>

#include <algorithm>
#include <bit>
#include <cstddef>
#include <memory>
#include <optional>
#include <utility>

namespace tercet::threading {

/// How many items of `size` bytes share one allocation.
constexpr std::size_t fifo_chunk_items(std::size_t size) noexcept {
    return std::bit_floor(std::clamp<std::size_t>(4096 / size, 4, 128));
}

/// The items behind a `fifo_gate`, in a chain of chunks: what `queue` and `simple_queue` are made of. The last chunk
/// that was emptied is kept for the next one that is needed, so in steady state nothing is allocated. An item that
/// throws while it is constructed or moved out leaves the channel as it was.
template <class T, class Machine = thread_machine, std::size_t ChunkItems = fifo_chunk_items(sizeof(T))>
class fifo_channel {
    static_assert(std::has_single_bit(ChunkItems));

public:
    using gate_type = basic_fifo_gate<Machine>;
    using outcome = typename gate_type::outcome;

    explicit fifo_channel(std::size_t maxsize) : gate_(maxsize) { head_ = tail_ = new chunk; }
    fifo_channel(const fifo_channel&) = delete;
    fifo_channel& operator=(const fifo_channel&) = delete;
    ~fifo_channel() {
        discard_all();
        delete head_;
        delete spare_.load(std::memory_order_relaxed);
    }

    /// Waits up to `limit` for room, and makes an item of `item`, which stays untouched unless the outcome is `ready`.
    template <class U>
    outcome put(U&& item, time_limit limit) {
        if (const outcome got = gate_.begin_put(limit); got != outcome::ready) [[unlikely]]
            return got;
        const std::uint64_t position = gate_.put_position();
        chunk* at = tail_;
        try {
            if (is_first_of_chunk(position)) at = new_chunk();
            std::construct_at(at->slot(position), std::forward<U>(item));
        } catch (...) {
            if (at != tail_) keep(at);
            gate_.abandon_put();
            throw;
        }
        if (at != tail_) tail_ = tail_->next = at;
        gate_.end_put();
        return outcome::ready;
    }

    /// Waits up to `limit` for an item; `failed(outcome)`, which throws, if there is none.
    template <class Failed>
    T get(time_limit limit, Failed&& failed) {
        if (const outcome got = gate_.begin_get(limit); got != outcome::ready) [[unlikely]]
            failed(got);
        taking next(*this);
        T item(std::move(next.item()));
        next.commit();
        return item;
    }

    std::optional<T> try_get() {
        std::optional<T> item;
        if (gate_.begin_get(std::chrono::seconds(0)) != outcome::ready) return item;
        taking next(*this);
        item.emplace(std::move(next.item()));
        next.commit();
        return item;
    }

    /// Takes an item and destroys it; false when there is none.
    bool discard_one() noexcept {
        if (gate_.begin_get(std::chrono::seconds(0)) != outcome::ready) return false;
        taking(*this).commit();
        return true;
    }

    /// As `queue`'s. Throws `std::bad_alloc`.
    void at_fork_reinit() {
        head_ = tail_ = new chunk;  // those before may be in the middle of a change
        spare_.store(nullptr, std::memory_order_relaxed);
        gate_.at_fork_reinit();
    }

    gate_type& gate() noexcept { return gate_; }
    const gate_type& gate() const noexcept { return gate_; }

private:
    struct chunk {
        T* slot(std::uint64_t position) noexcept {
            return reinterpret_cast<T*>(bytes) + static_cast<std::size_t>(position % ChunkItems);
        }
        alignas(T) std::byte bytes[sizeof(T) * ChunkItems];
        chunk* next = nullptr;  // written by the producer before an item in `next` is published
    };

    /// The item at the head, between begin_get and end_get.
    class taking {
    public:
        explicit taking(fifo_channel& owner) noexcept
            : owner_(owner), at_(is_first_of_chunk(owner.gate_.get_position()) ? owner.head_->next : owner.head_) {}
        taking(const taking&) = delete;
        taking& operator=(const taking&) = delete;
        ~taking() {
            if (!is_committed_) owner_.gate_.abandon_get();
        }
        T& item() noexcept { return *std::launder(at_->slot(owner_.gate_.get_position())); }
        void commit() noexcept {
            std::destroy_at(&item());
            if (at_ != owner_.head_) owner_.keep(std::exchange(owner_.head_, at_));
            is_committed_ = true;
            owner_.gate_.end_get();
        }

    private:
        fifo_channel& owner_;
        chunk* at_;
        bool is_committed_ = false;
    };

    /// The chunk before stays the last until an item is in the next one.
    static bool is_first_of_chunk(std::uint64_t position) noexcept {
        return position % ChunkItems == 0 && position != 0;
    }

    // acquire and release hand the memory of a chunk, with all that was done in it, from the consumer to the producer.
    chunk* new_chunk() {
        chunk* const kept = spare_.exchange(nullptr, std::memory_order_acquire);
        if (!kept) return new chunk;
        kept->next = nullptr;
        return kept;
    }
    void keep(chunk* spent) noexcept { delete spare_.exchange(spent, std::memory_order_acq_rel); }

    void discard_all() noexcept {
        while (discard_one()) {
        }
    }

    gate_type gate_;
    alignas(128) chunk* tail_;  // with the lock of the putters held
    alignas(128) chunk* head_;  // with the lock of the getters held
    alignas(128) typename Machine::template atomic<chunk*> spare_{nullptr};
};

}  // namespace tercet::threading
