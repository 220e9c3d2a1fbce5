#pragma once

// The protocol of the FIFO queues, as templates: fifo_gate.cpp makes it for threads, the tests for a scheduler of their
// own.
//
// Two counters say everything: pushed_ items were put, taken_ of them were taken, and pushed_ - taken_ are there. Each
// has one writer at a time, who holds the lock of its side; with one producer and one consumer both locks are
// uncontended, and the two meet only in the counters. Even those each side reads seldom: it keeps the value it saw last
// (`seen`), which can only be too careful, and looks anew when that says "full" ("empty").
//
//   put   lock put_, is there room?, construct the item, pushed_ + 1, take a getter from its line if one sleeps,
//   unlock, wake it get   lock get_, is there an item?, move it out and destroy it, taken_ + 1, take a putter from its
//   line if one sleeps, unlock, wake it
//
// Memory order. The store of pushed_ releases the item to the acquire that reads it into the getters' `seen`; the store
// of taken_ releases the empty slot to the putters' `seen`. One's own counter is read relaxed: the lock has ordered it.
//
// Waiting. Nobody waits with a lock of a side in hand: who finds no room (no item) unlocks, looks for a while
// (adaptive_spin, one a side), then sleeps, and begins anew after that. To sleep is to
//
// (Who frees a lock without having put or taken anything leaves the watch to the next.)
//
//   S1  stand in the line of the getters, and watch put_.lock      W1  pushed_ + 1
//   S2  is there really no item?                                   W2  free put_.lock, unless it is watched
//   S3  sleep                                                      W3  if it is: take the first from the line, free,
//   wake
//
// S1 and W2 are read-modify-writes of one word (see watched_lock.cpp), so one comes first: if S1, W2 fails and W3 finds
// the sleeper; if W2, S1 acquires what came before it, and S2 sees the item. No wake-up is lost; while nobody sleeps, a
// put costs two such operations and no system call. Putters who wait for room watch get_.lock in the same way. S2 reads
// taken_ before pushed_: "empty" was then true when pushed_ was read, and "full" errs only while a getter is at work
// that will see the watch. The watch stays while anybody is in the line; it changes under the mutex of the line.
//
// Who is woken leaves the line at the hand of its waker, so each put wakes another sleeper. A wake-up is a hint: a
// thread that came in between may have taken the item, and the sleeper sleeps again. A thread that is woken always
// looks, also when its deadline has passed meanwhile; one that was woken and then cannot put or take (an exception)
// passes the wake-up on, in abandon_put and abandon_get.
//
// Looking is not free for the other side: each look takes the cache line of the counter away from who writes it. A
// getter that found nothing therefore pauses before it looks again, for about as long as an answer takes from one CPU
// to another. Between two threads that answer each other the pause ends before the answer is there; in a stream, the
// producer gets ahead by some items meanwhile, and the two stop stepping on each other's heels. Where the looks give an
// item or two each time, many times in a row, the two are in step although the queue is never empty: then too one of
// them pauses (is_in_step), unless the bound is so small that nobody can get ahead.
//
// The end. shut_down sets the flag with put_.lock held: no put begins after it. A getter that finds nothing reads the
// flag before it reads pushed_ again, so "shut down and empty" is final. shut_down and set_maxsize take the mutex of
// each line after they have changed what S2 looks at: who stood in it is woken, who comes later sees the change.
//
// A put or a get has done everything before its unlock, but to wake: that needs only the sleeper, which cannot go
// before it is woken. The destructor takes both locks: a queue may be destroyed as soon as the last item was taken from
// it. task_done and join hold the mutex of the joiners for the same reason.

#include <tercet/threading/fifo_gate.hpp>

#include <utility>

namespace tercet::threading {

namespace fifo_gate_detail {

inline bool is_zero(time_limit limit) noexcept {
    const auto duration = limit.duration();
    return duration && duration->count() == 0;
}

}  // namespace fifo_gate_detail

template <class Machine>
bool basic_fifo_gate<Machine>::has_room() const noexcept {
    if (is_shut_down_.load(std::memory_order_acquire)) return true;  // to be told so
    const std::uint64_t taken = taken_.load(std::memory_order_acquire);
    return pushed_.load(std::memory_order_acquire) - taken < maxsize_.load(std::memory_order_relaxed);
}

template <class Machine>
bool basic_fifo_gate<Machine>::has_item() const noexcept {
    if (is_shut_down_.load(std::memory_order_acquire)) return true;  // to be told so
    const std::uint64_t taken = taken_.load(std::memory_order_acquire);
    return pushed_.load(std::memory_order_acquire) != taken;
}

/// Whether it is time to fall back, so that the other side gets ahead. `found` is what the look at its counter gave.
template <class Machine>
bool basic_fifo_gate<Machine>::is_in_step(side& mine, std::uint64_t found, std::size_t maxsize,
                                          std::uint32_t in_a_row) noexcept {
    constexpr std::uint64_t few = 16;
    if (found >= few || maxsize < 4 * few) {
        mine.short_looks = 0;
        return false;
    }
    if (++mine.short_looks < in_a_row) return false;
    mine.short_looks = 0;
    return true;
}

template <class Machine>
auto basic_fifo_gate<Machine>::begin_put_slowly(time_limit limit) -> outcome {
    clock::time_point deadline{};
    for (bool is_first = true, has_paused = false, is_last = fifo_gate_detail::is_zero(limit);;) {
        if (is_shut_down_.load(std::memory_order_relaxed)) {
            put_.lock.unlock();
            return outcome::shut_down;
        }
        put_.seen = taken_.load(std::memory_order_acquire);
        const std::uint64_t used = put_position() - put_.seen;
        const std::size_t maxsize = maxsize_.load(std::memory_order_relaxed);
        const bool has_room_now = used < maxsize;
        if (has_room_now && (has_paused || !is_in_step(put_, maxsize - used, maxsize, 1))) return outcome::ready;
        put_.lock.unlock();
        if (has_room_now) {
            has_paused = true;
            Machine::pause();
            put_.lock.lock();
            continue;
        }
        if (is_last) return outcome::timed_out;
        if (std::exchange(is_first, false)) deadline = limit.deadline();
        const auto ready = [this]() noexcept { return has_room(); };
        Machine::pause();
        if (!putters_.spin.until(ready)) is_last = !sleep(putters_, get_, ready, deadline);
        put_.lock.lock();
    }
}

template <class Machine>
auto basic_fifo_gate<Machine>::begin_get_slowly(time_limit limit) -> outcome {
    clock::time_point deadline{};
    for (bool is_first = true, has_paused = false, is_last = fifo_gate_detail::is_zero(limit);;) {
        const bool is_over = is_shut_down_.load(std::memory_order_acquire);
        get_.seen = pushed_.load(std::memory_order_acquire);
        const std::uint64_t used = get_.seen - get_position();
        const bool has_item_now = used != 0;
        if (has_item_now && (has_paused || !is_in_step(get_, used, maxsize_.load(std::memory_order_relaxed), 3)))
            return outcome::ready;
        get_.lock.unlock();
        if (has_item_now) {
            has_paused = true;
            Machine::pause();
            get_.lock.lock();
            continue;
        }
        if (is_over) return outcome::shut_down;
        if (is_last) return outcome::timed_out;
        if (std::exchange(is_first, false)) deadline = limit.deadline();
        const auto ready = [this]() noexcept { return has_item(); };
        Machine::pause();
        if (!getters_.spin.until(ready)) is_last = !sleep(getters_, put_, ready, deadline);
        get_.lock.lock();
    }
}

/// False when the deadline passed.
template <class Machine>
template <class Ready>
bool basic_fifo_gate<Machine>::sleep(sleepers& mine, side& other, Ready ready, clock::time_point deadline) noexcept {
    typename Machine::line::place place;
    guard_type guard(mine.mutex);
    mine.line.enter(place);
    other.lock.watch();
    const bool is_ready = ready();
    if (is_ready)
        mine.line.leave(place);
    else if (mine.line.sleep(place, guard, deadline))
        return true;
    if (mine.line.empty()) other.lock.unwatch();
    return is_ready;
}

template <class Machine>
auto basic_fifo_gate<Machine>::take_one(sleepers& from, side& watched) noexcept -> awakened {
    const guard_type guard(from.mutex);
    awakened woken = from.line.take_one();
    if (from.line.empty()) watched.lock.unwatch();
    return woken;
}

template <class Machine>
auto basic_fifo_gate<Machine>::take_all(sleepers& from, side& watched) noexcept -> awakened {
    const guard_type guard(from.mutex);
    watched.lock.unwatch();
    return from.line.take_all();
}

template <class Machine>
void basic_fifo_gate<Machine>::unlock_and_wake(side& held, sleepers& watching) noexcept {
    awakened woken;
    if (held.lock.is_watched()) woken = take_one(watching, held);
    held.lock.unlock();
}

template <class Machine>
void basic_fifo_gate<Machine>::abandon_put() noexcept {
    const awakened woken = take_one(putters_, get_);
    put_.lock.unlock();
}

template <class Machine>
void basic_fifo_gate<Machine>::abandon_get() noexcept {
    const awakened woken = take_one(getters_, put_);
    get_.lock.unlock();
}

template <class Machine>
void basic_fifo_gate<Machine>::set_maxsize(std::size_t maxsize) noexcept {
    awakened woken;
    put_.lock.lock();
    maxsize_.store(maxsize, std::memory_order_relaxed);
    woken = take_all(putters_, get_);
    put_.lock.unlock();
}

template <class Machine>
bool basic_fifo_gate<Machine>::task_done() noexcept {
    awakened woken;
    const guard_type guard(joiners_.mutex);
    const std::uint64_t pushed = pushed_.load(std::memory_order_acquire);
    if (joiners_.done == pushed) return false;
    if (++joiners_.done == pushed) woken = joiners_.line.take_all();
    return true;
}

template <class Machine>
bool basic_fifo_gate<Machine>::join(time_limit limit) {
    guard_type guard(joiners_.mutex);
    if (joiners_.done == pushed_.load(std::memory_order_acquire)) return true;
    if (fifo_gate_detail::is_zero(limit)) return false;
    return joiners_.line.wait(guard, limit.deadline());
}

template <class Machine>
void basic_fifo_gate<Machine>::at_fork_reinit() noexcept {
    put_.lock.reinit();
    get_.lock.reinit();
    put_.seen = get_.seen = 0;
    pushed_.store(0, std::memory_order_relaxed);
    taken_.store(0, std::memory_order_relaxed);
    for (sleepers* const each : {&getters_, &putters_}) {
        each->mutex.reinit();
        each->line.reinit();
    }
    joiners_.mutex.reinit();
    joiners_.line.reinit();
    joiners_.done = 0;
}

template <class Machine>
void basic_fifo_gate<Machine>::shut_down() noexcept {
    awakened getters;
    awakened putters;
    put_.lock.lock();
    is_shut_down_.store(true, std::memory_order_release);
    getters = take_all(getters_, put_);
    putters = take_all(putters_, get_);
    put_.lock.unlock();
}

}  // namespace tercet::threading
