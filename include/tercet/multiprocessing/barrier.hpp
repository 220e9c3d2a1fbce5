#pragma once

#include <tercet/futures/errors.hpp>
#include <tercet/futures/time_limit.hpp>
#include <tercet/multiprocessing/shared_page.hpp>

#include <cstddef>

namespace tercet::multiprocessing {

/// A number of processes, or of their threads, wait here for each other, again and again. When one of them gives up,
/// all learn it. A handle: copies are the same barrier, also one that was sent to a worker. It calls no action, because
/// it belongs to several programs; who gets number 0 may do what is to be done once. Any thread.
class barrier {
public:
    /// For a value that is to be filled in from another process: a barrier of one.
    barrier() : barrier(1) {}
    /// `parties` pass together. `limit` is for every `wait` that does not say otherwise. Throws `std::invalid_argument`
    /// for no parties or more than 100,000, `std::system_error` when there is no descriptor or memory for it.
    explicit barrier(std::size_t parties, time_limit limit = {});

    /// Waits for the others. Returns a number from 0 to parties - 1, another one for each party of the round.
    /// Throws `broken_barrier_error` when the barrier is or gets broken: somebody's limit passed (which breaks it for
    /// all), `abort`, `reset` while this thread waited, or the next to come found that a party had died while it
    /// waited. A party that dies before it comes is waited for, up to the limit.
    std::size_t wait() const;
    std::size_t wait(time_limit limit) const;

    /// Mends the barrier and begins a new round. Those who wait in the old one get `broken_barrier_error`.
    void reset() const;
    /// Breaks the barrier: all who wait and all who come get `broken_barrier_error`, until `reset`.
    void abort() const;

    std::size_t parties() const noexcept;
    /// How many wait now.
    std::size_t n_waiting() const noexcept;
    bool broken() const noexcept;

    template <class Archive>
    void serialize(Archive& archive) {
        page_.serialize(archive, page_kind::barrier, size_of_page(1));
        if constexpr (Archive::is_loading) check_size();
    }

private:
    struct contents;
    class inside;

    /// Waiters of the round before may not have left when others come.
    static constexpr std::size_t seats_of(std::size_t parties) { return 2 * parties; }
    static constexpr std::size_t size_of_page(std::size_t parties) { return 128 + 64 * seats_of(parties); }
    void check_size() const;
    contents& here() const noexcept;

    shared_page page_;
};

}  // namespace tercet::multiprocessing
