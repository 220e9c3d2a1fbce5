#pragma once

#include <tercet/futures/adaptive_spin.hpp>
#include <tercet/futures/time_limit.hpp>
#include <tercet/threading/waiting_line.hpp>
#include <tercet/threading/watched_lock.hpp>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <limits>

namespace tercet::threading {

/// What a gate is made of when it works for threads. Tests give it parts that a scheduler of theirs controls.
struct thread_machine {
    template <class T>
    using atomic = std::atomic<T>;
    using lock = quick_lock;
    using side_lock = watched_lock;
    using line = waiting_line;
    using spin = adaptive_spin;
    /// Some half of a microsecond: what an answer from another CPU takes.
    static void pause() noexcept;
};

/// Who may put and who may take next, and everybody's waiting for it: a queue of items without the items, which
/// `fifo_channel` adds. A thread that begins to put (to take) and is told `ready` is the only one that does so until
/// it ends or abandons it. The protocol stands in src/threading/fifo_gate_protocol.hpp.
template <class Machine>
class basic_fifo_gate {
public:
    static constexpr std::size_t unbounded = std::numeric_limits<std::size_t>::max();
    enum class outcome { ready, timed_out, shut_down };

    explicit basic_fifo_gate(std::size_t maxsize) noexcept : maxsize_(maxsize) {}
    basic_fifo_gate(const basic_fifo_gate&) = delete;
    basic_fifo_gate& operator=(const basic_fifo_gate&) = delete;
    /// Nobody waits any more, but a thread whose item has been taken may still be on its way out: waits for that.
    ~basic_fifo_gate() {
        put_.lock.lock();
        get_.lock.lock();
    }

    /// Waits up to `limit` for room.
    outcome begin_put(time_limit limit) {
        put_.lock.lock();
        const std::uint64_t used = pushed_.load(std::memory_order_relaxed) - put_.seen;
        if (used < maxsize_.load(std::memory_order_relaxed) && !is_shut_down_.load(std::memory_order_relaxed))
            [[likely]]
            return outcome::ready;
        return begin_put_slowly(limit);
    }
    /// The number of the item that is put now.
    std::uint64_t put_position() const noexcept { return pushed_.load(std::memory_order_relaxed); }
    void end_put() noexcept {
        pushed_.store(put_position() + 1, std::memory_order_release);
        if (!put_.lock.try_unlock()) [[unlikely]]
            unlock_and_wake(put_, getters_);
    }
    /// Nothing was put after all.
    void abandon_put() noexcept;

    /// Waits up to `limit` for an item; `shut_down` when there is none and none will come.
    outcome begin_get(time_limit limit) {
        get_.lock.lock();
        if (get_.seen != taken_.load(std::memory_order_relaxed)) [[likely]]
            return outcome::ready;
        return begin_get_slowly(limit);
    }
    /// The number of the item that is taken now.
    std::uint64_t get_position() const noexcept { return taken_.load(std::memory_order_relaxed); }
    void end_get() noexcept {
        taken_.store(get_position() + 1, std::memory_order_release);
        if (!get_.lock.try_unlock()) [[unlikely]]
            unlock_and_wake(get_, putters_);
    }
    /// The item stays where it was.
    void abandon_get() noexcept;

    /// How many items there are; exact when nobody is at work.
    std::size_t size() const noexcept {
        const std::uint64_t taken = taken_.load(std::memory_order_acquire);
        return static_cast<std::size_t>(pushed_.load(std::memory_order_acquire) - taken);
    }
    std::size_t maxsize() const noexcept { return maxsize_.load(std::memory_order_relaxed); }
    void set_maxsize(std::size_t maxsize) noexcept;

    /// One item that was put is dealt with. False when all were already.
    bool task_done() noexcept;
    /// Waits until `task_done` was called for each item that was put; false when it was not until `limit`.
    bool join(time_limit limit);

    /// From now on nothing is put, and who waits for room or for an item is told.
    void shut_down() noexcept;
    /// Nobody waits, nothing is there; the bound, and whether it was shut down, stay.
    void at_fork_reinit() noexcept;
    bool is_shut_down() const noexcept { return is_shut_down_.load(std::memory_order_acquire); }

private:
    using clock = std::chrono::steady_clock;
    using guard_type = typename Machine::line::guard_type;
    using awakened = typename Machine::line::awakened;
    template <class T>
    using atomic = typename Machine::template atomic<T>;

    /// One side: who puts, or who takes.
    struct alignas(64) side {
        typename Machine::side_lock lock;
        std::uint64_t seen = 0;         // a former value of the other side's counter
        std::uint32_t short_looks = 0;  // how many in a row gave little
    };
    /// Those of one side who sleep, and so watch the lock of the other.
    struct alignas(64) sleepers {
        typename Machine::lock mutex;
        typename Machine::line line;
        typename Machine::spin spin;
    };

    bool has_room() const noexcept;
    static bool is_in_step(side& mine, std::uint64_t found, std::size_t maxsize, std::uint32_t in_a_row) noexcept;
    bool has_item() const noexcept;
    outcome begin_put_slowly(time_limit limit);
    outcome begin_get_slowly(time_limit limit);
    template <class Ready>
    static bool sleep(sleepers& mine, side& other, Ready ready, clock::time_point deadline) noexcept;
    static void unlock_and_wake(side& held, sleepers& watching) noexcept;
    static awakened take_one(sleepers& from, side& watched) noexcept;
    static awakened take_all(sleepers& from, side& watched) noexcept;

    // CPUs fetch cache lines in pairs: what one side writes has pairs of its own.
    alignas(128) side put_;
    alignas(64) atomic<std::uint64_t> pushed_{0};  // written with put_.lock held
    alignas(128) side get_;
    alignas(64) atomic<std::uint64_t> taken_{0};  // written with get_.lock held
    alignas(128) atomic<std::size_t> maxsize_;    // written with put_.lock held, as the next; read by both
    atomic<bool> is_shut_down_{false};
    sleepers getters_;
    sleepers putters_;
    struct alignas(64) {
        typename Machine::lock mutex;
        typename Machine::line line;
        std::uint64_t done = 0;  // under the mutex
    } joiners_;
};

extern template class basic_fifo_gate<thread_machine>;
using fifo_gate = basic_fifo_gate<thread_machine>;

}  // namespace tercet::threading
