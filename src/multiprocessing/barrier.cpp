// A round ends by one addition to `round`, which wakes all who wait in it in the same step; whether it ended well
// stands in broken_rounds before that, a bit for each of the last 64. So a round ends for all or for none, also when
// the one who ends it is killed.
//
// Under the mutex, who waits takes a seat. Who comes looks whether a seat of this round is deserted: its party has died
// and the round can have no good end. Who finds that somebody died with the mutex breaks the barrier, too. A waiter
// that finds no seat, because many of the rounds before are still on their way out, waits without: only its death would
// go unnoticed.

#include <tercet/multiprocessing/barrier.hpp>

#include <fmt/format.h>

#include <atomic>
#include <chrono>
#include <span>
#include <stdexcept>
#include <string_view>

#include "robust_mutex.hpp"
#include "seat.hpp"
#include "shared_futex.hpp"

namespace tercet::multiprocessing {

namespace {

constexpr std::size_t most_parties = 100'000;
constexpr std::int64_t forever = -1;

[[noreturn]] void throw_broken(std::string_view because) {
    throw broken_barrier_error(fmt::format("barrier: {}; reset() makes it usable again", because));
}

std::uint64_t bit_of(std::uint32_t round) { return std::uint64_t{1} << (round % 64); }

}  // namespace

struct barrier::contents {
    page_kind kind;
    std::uint32_t parties;
    std::uint32_t seats_made;
    std::int64_t limit_ns;
    std::atomic<std::uint64_t> broken_rounds;
    std::atomic<std::uint32_t> round;
    std::atomic<std::uint32_t> arrived;
    std::atomic<std::uint32_t> is_broken;
    robust_mutex mutex;

    std::span<seat> seats() noexcept {
        return {reinterpret_cast<seat*>(reinterpret_cast<std::byte*>(this) + 128), seats_of(parties)};
    }
    void end_round(bool is_good) noexcept {
        const std::uint32_t now = round.load(std::memory_order_relaxed);
        if (is_good)
            broken_rounds.fetch_and(~bit_of(now), std::memory_order_relaxed);
        else
            broken_rounds.fetch_or(bit_of(now), std::memory_order_relaxed);
        arrived.store(0, std::memory_order_relaxed);
        add_and_wake_all(round, 1);
    }
    void break_round() noexcept {
        is_broken.store(1, std::memory_order_relaxed);
        end_round(false);
    }
    bool misses_a_party() {
        const std::uint32_t now = round.load(std::memory_order_relaxed);
        if (arrived.load(std::memory_order_relaxed) == 0) return false;
        for (seat& each : seats().first(seats_made))
            if (each.state.load(std::memory_order_relaxed) == seat::is_waiting && each.round == now &&
                each.is_deserted())
                return true;
        return false;
    }
};

/// Has the mutex.
class barrier::inside {
public:
    explicit inside(contents& where) : where_(where) {
        if (where_.mutex.lock() == robust_mutex::outcome::recovered) where_.break_round();
    }
    inside(const inside&) = delete;
    inside& operator=(const inside&) = delete;
    ~inside() { where_.mutex.unlock(); }

private:
    contents& where_;
};

barrier::barrier(std::size_t parties, time_limit limit) {
    static_assert(sizeof(contents) <= 128 && sizeof(seat) == 64);
    if (parties == 0 || parties > most_parties)
        throw std::invalid_argument(fmt::format("barrier: {} parties; give 1 to {}", parties, most_parties));
    page_ = shared_page(page_kind::barrier, "tercet-barrier", size_of_page(parties));
    here().parties = static_cast<std::uint32_t>(parties);
    here().limit_ns = limit.is_forever() ? forever : limit.duration()->count();
    here().mutex.initialise();
}

barrier::contents& barrier::here() const noexcept { return page_.as<contents>(); }

void barrier::check_size() const {
    if (here().parties == 0 || here().parties > most_parties || page_.segment().size() < size_of_page(here().parties))
        throw decode_error(fmt::format("decode: a barrier of {} parties in {} bytes of shared memory", here().parties,
                                       page_.segment().size()));
}

std::size_t barrier::wait() const {
    const std::int64_t limit = here().limit_ns;
    return wait(limit == forever ? time_limit() : time_limit(std::chrono::nanoseconds(limit)));
}

std::size_t barrier::wait(time_limit limit) const {
    const auto deadline = limit.deadline();
    auto& state = here();
    std::size_t index = 0;
    std::uint32_t round = 0;
    seat* mine = nullptr;
    {
        const inside guard(state);
        if (state.is_broken.load(std::memory_order_relaxed) != 0)
            throw_broken("it is broken: a party gave up or died, or it was aborted");
        if (state.misses_a_party()) {
            state.break_round();
            throw_broken("a party died while it waited");
        }
        index = state.arrived.load(std::memory_order_relaxed);
        if (index + 1 == state.parties) {
            state.end_round(true);
            return index;
        }
        round = state.round.load(std::memory_order_relaxed);
        mine = take_seat(state.seats(), state.seats_made);
        if (mine) {
            mine->round = round;
            mine->state.store(seat::is_waiting, std::memory_order_relaxed);
        }
        state.arrived.store(static_cast<std::uint32_t>(index + 1), std::memory_order_relaxed);
    }
    std::size_t there = 0;
    for (bool is_late = false; state.round.load(std::memory_order_acquire) == round;) {
        if (is_late) {
            const inside guard(state);
            if (state.round.load(std::memory_order_relaxed) != round) break;
            there = state.arrived.load(std::memory_order_relaxed);
            state.break_round();
        } else {
            is_late = !futex_wait(state.round, round, deadline, futex_scope::shared);
        }
    }
    if (mine) mine->leave();
    if (there != 0) throw_broken(fmt::format("the time limit passed with {} of {} parties there", there, parties()));
    if ((state.broken_rounds.load(std::memory_order_relaxed) & bit_of(round)) != 0)
        throw_broken("it was broken or reset while this thread waited");
    return index;
}

void barrier::reset() const {
    const inside guard(here());
    if (here().arrived.load(std::memory_order_relaxed) != 0) here().end_round(false);
    here().is_broken.store(0, std::memory_order_relaxed);
}

void barrier::abort() const {
    const inside guard(here());
    here().break_round();
}

std::size_t barrier::parties() const noexcept { return here().parties; }

std::size_t barrier::n_waiting() const noexcept { return here().arrived.load(std::memory_order_relaxed); }

bool barrier::broken() const noexcept { return here().is_broken.load(std::memory_order_relaxed) != 0; }

}  // namespace tercet::multiprocessing
