#pragma once

#include <tercet/futures/parker.hpp>
#include <tercet/threading/quick_lock.hpp>

#include <chrono>
#include <cstddef>
#include <mutex>
#include <utility>

namespace tercet::threading {

/// Threads that sleep until they are woken, first come, first served. The object that owns the line guards it with
/// one lock; every method is called with that lock held. Who is to be woken is taken from the line with the lock held,
/// and woken when it is free again: a thread that runs at once must not find it taken. No allocation: a place in the
/// line is on the stack of the thread that stands there.
class waiting_line {
public:
    using deadline_type = std::chrono::steady_clock::time_point;
    using guard_type = std::unique_lock<quick_lock>;

    /// One thread's place.
    class place {
    public:
        place() noexcept = default;
        place(const place&) = delete;
        place& operator=(const place&) = delete;

    private:
        friend waiting_line;
        parker parker_;
        place* next_ = nullptr;
        place* previous_ = nullptr;
        bool is_in_line_ = false;
    };

    /// Threads taken from the line; they wake when this goes. Declared before the guard, it goes after it.
    class [[nodiscard]] awakened {
    public:
        awakened() noexcept = default;
        awakened(awakened&& other) noexcept : first_(std::exchange(other.first_, nullptr)) {}
        awakened& operator=(awakened&& other) noexcept {
            std::swap(first_, other.first_);
            return *this;
        }
        ~awakened() {
            if (first_) wake();
        }
        explicit operator bool() const noexcept { return first_ != nullptr; }

    private:
        friend waiting_line;
        explicit awakened(place* first) noexcept : first_(first) {}
        void wake() noexcept;

        place* first_ = nullptr;
    };

    waiting_line() noexcept = default;
    waiting_line(const waiting_line&) = delete;
    waiting_line& operator=(const waiting_line&) = delete;

    /// Stands at the end of the line, gives up `guard` while it sleeps, and has it again on return. False when
    /// `deadline` passed and nobody had taken it from the line.
    bool wait(guard_type& guard, deadline_type deadline) noexcept;

    /// The parts of `wait`, for those who have more to do on the way: `sleep` gives up the guard and returns without
    /// it when the thread was woken; with it, and false, when its place is no longer in the line because `deadline`
    /// passed. `leave` is for those who do not sleep after all.
    void enter(place& mine) noexcept;
    bool sleep(place& mine, guard_type& guard, deadline_type deadline) noexcept;
    void leave(place& mine) noexcept { remove(mine); }

    /// Takes up to `count` from the line, those who wait longest, to be woken in that order.
    awakened take(std::size_t count) noexcept;
    awakened take_one() noexcept { return take(1); }
    awakened take_all() noexcept { return take(size_); }

    /// Forgets who stands in it: for the child of a fork, in which those threads do not exist.
    void reinit() noexcept {
        first_ = last_ = nullptr;
        size_ = 0;
    }

    bool empty() const noexcept { return size_ == 0; }
    std::size_t size() const noexcept { return size_; }

private:
    void remove(place& mine) noexcept;

    place* first_ = nullptr;
    place* last_ = nullptr;
    std::size_t size_ = 0;
};

}  // namespace tercet::threading
