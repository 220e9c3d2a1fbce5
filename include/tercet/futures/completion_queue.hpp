#pragma once

#include <tercet/futures/future.hpp>
#include <tercet/futures/time_limit.hpp>

#include <cstddef>
#include <optional>
#include <span>

namespace tercet {

/// What `wait` waits for.
enum class return_when {
    first_completed,  ///< any future is done
    first_exception,  ///< any future failed or was cancelled; without a failure, all are done
    all_completed,    ///< all futures are done
};

/// Watches several futures, and hands out the indexes of those that are done, in that order. The core of `wait` and
/// `as_completed`. One thread.
class completion_queue {
public:
    /// Watches `futures`; one that stands there twice is watched once. `wake` says when `wait` returns.
    completion_queue(std::span<future_base* const> futures, return_when wake);
    completion_queue(const completion_queue&) = delete;
    completion_queue& operator=(const completion_queue&) = delete;
    /// Stops watching. The futures stay as they are.
    ~completion_queue();

    /// Waits until the condition holds or `deadline` passes, and returns whether it holds.
    bool wait(time_limit::clock::time_point deadline);

    /// How many futures are watched and were not handed out.
    std::size_t unpopped() const noexcept { return unpopped_; }
    /// How many futures are watched.
    std::size_t size() const noexcept { return size_; }

    /// The index of a future that is done and was not handed out, those first that were done when the queue was made.
    /// Waits for one until `deadline`; nothing when it passes, or when all were handed out. For `first_completed` only.
    std::optional<std::size_t> pop(time_limit::clock::time_point deadline);

private:
    struct shared;

    shared* shared_;
    std::size_t size_ = 0;
    std::size_t unpopped_ = 0;
};

}  // namespace tercet
