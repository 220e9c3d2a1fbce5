#pragma once

#include <tercet/futures/time_limit.hpp>
#include <tercet/multiprocessing/shared_page.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace tercet::multiprocessing {

/// A counter of permits that processes and their threads wait for. A handle: copies are the same semaphore, also one
/// that was sent to a worker. A permit has no owner: anybody may give it back, and who dies with one takes it along,
/// until somebody releases it in its place. Nobody's death does more harm than that. A guard of the standard library
/// holds one permit. Any thread.
class semaphore {
public:
    static constexpr std::ptrdiff_t most_permits = 0x3fff'ffff;

    /// `value` permits may be acquired before anyone waits. Throws `std::invalid_argument` when it is negative or more
    /// than `most_permits`, `std::system_error` when there is no descriptor or memory for it.
    explicit semaphore(std::ptrdiff_t value = 1) : semaphore(value, most_permits) {}

    /// Takes a permit, waiting up to `limit` while there is none. Returns whether it was taken.
    bool acquire(time_limit limit = {}) const;

    /// Gives back `count` permits. Throws `std::invalid_argument`, and gives back nothing, when `count` is less than
    /// one, or more than can be counted.
    void release(std::ptrdiff_t count = 1) const;

    void lock() const { acquire(); }
    bool try_lock() const { return acquire(std::chrono::seconds(0)); }
    void unlock() const { release(); }

    /// How many permits are free now.
    std::ptrdiff_t value() const noexcept;

    template <class Archive>
    void serialize(Archive& archive) {
        page_.serialize(archive, page_kind::semaphore, size_of_page);
    }

protected:
    semaphore(std::ptrdiff_t value, std::ptrdiff_t most);

private:
    struct contents;
    static constexpr std::size_t size_of_page = 128;

    shared_page page_;
};

}  // namespace tercet::multiprocessing
