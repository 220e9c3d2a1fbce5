#pragma once

#include <tercet/futures/future.hpp>
#include <tercet/threading/quick_lock.hpp>

#include <atomic>
#include <cstddef>
#include <exception>
#include <memory>

namespace tercet::threading {

/// What the threads of a parallel call share: a range of indices, and the first error. Each thread has a portion of
/// the range, of which it does a grain at a time; the rules stand in shared_range.cpp. For `parallel_for` and
/// `parallel_reduce`.
class shared_range {
public:
    /// What a thread has of the range and has not begun. Others take from its end.
    struct alignas(64) portion {
        quick_lock changing;
        std::size_t begin = 0;  // under changing, as end
        std::size_t end = 0;
        future<void> helper{};  // whose it is; empty: the caller's, or nobody's
    };
    struct piece {
        std::size_t begin = 0;
        std::size_t end = 0;
    };

    /// A thread does `grain` items at a time, or fewer near the end of what it has, but no less than `least` if there
    /// are as many. At most `threads` take part, the caller among them. Throws `std::bad_alloc`.
    shared_range(std::size_t begin, std::size_t end, std::size_t grain, std::size_t least, std::size_t threads);
    shared_range(const shared_range&) = delete;
    shared_range& operator=(const shared_range&) = delete;

    /// The caller's portion is the first one.
    portion& operator[](std::size_t number) noexcept { return portions_[number]; }
    /// How many portions were given out.
    std::size_t recruited() const noexcept { return recruited_.load(std::memory_order_acquire); }
    /// A portion for one more thread; null: another thread is of no use, or may not be. Any thread.
    portion* recruit() noexcept;

    /// The next items for the thread that has `mine`; false: all others are begun, or something went wrong.
    bool next(portion& mine, piece& todo) noexcept;
    /// Does `do_items(from, to)` for the pieces that this thread gets.
    template <class Do>
    void do_pieces(portion& mine, Do& do_items) noexcept {
        try {
            for (piece todo; next(mine, todo);) do_items(todo.begin, todo.end);
        } catch (...) {
            fail(std::current_exception());
        }
    }

    /// Notes what goes wrong first. Pieces that have not begun by then do not begin, and what goes wrong later is
    /// dropped. Any thread; `error` is seen by whoever joins it.
    void fail(std::exception_ptr error) noexcept;
    /// After all threads were joined.
    void rethrow_failure() const {
        if (error_) std::rethrow_exception(error_);
    }

private:
    std::size_t next_size(std::size_t left) const noexcept;
    // With mine.changing held.
    bool claim(portion& mine) noexcept;
    // Without.
    bool steal(portion& mine) noexcept;
    bool take_from(portion& victim, portion& mine) noexcept;

    alignas(64) std::atomic<std::size_t> next_;
    alignas(64) const std::size_t end_;
    const std::size_t grain_;
    const std::size_t least_;
    const std::size_t threads_;
    const std::size_t most_;  // portions
    const std::unique_ptr<portion[]> portions_;
    std::atomic<std::size_t> recruited_{1};  // the caller
    std::atomic<std::size_t> thefts_{0};
    std::atomic<bool> has_failed_{false};
    std::exception_ptr error_;
};

}  // namespace tercet::threading
