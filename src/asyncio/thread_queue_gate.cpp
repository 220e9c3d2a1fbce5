// Everything but the waking happens under the mutex, with the invariants of queue_gate.cpp: who puts gives its item to
// the first who waits, who gets lets the first in who waits for room.
//
//   in line    is_in_line_, linked; nothing was given. It may leave by itself: a thread when its time is up, a task
//              when it is cancelled
//   taken      not in line any more, and has what it waited for, or the news of the shutdown; it will be woken once,
//              after the mutex is free, by the one who took it
//
// A thread whose time is up, and a task that is cancelled, look under the mutex whether they are in line. If not, they
// wait for the waking, which is on its way, and return what they were given: nothing is lost, and the party does not go
// while somebody is about to wake it. A thread is woken by its parker, a task through the inbox of its loop, to which
// it holds a reference while it stands in line; the inbox writes to its eventfd only when the loop sleeps, so a burst
// of items wakes a loop once. The waker touches nothing of a party after that.

#include <tercet/asyncio/event_loop.hpp>
#include <tercet/asyncio/inbox.hpp>
#include <tercet/asyncio/thread_queue_gate.hpp>
#include <tercet/futures/errors.hpp>

#include <fmt/format.h>

#include <chrono>

namespace tercet::asyncio {

namespace {

bool is_zero(time_limit limit) noexcept { return limit.duration() == std::chrono::nanoseconds::zero(); }

}  // namespace

void thread_queue_gate::line::add(party& last) noexcept {
    last.is_in_line_ = true;
    last.next_ = nullptr;
    last.previous_ = last_;
    (last_ ? last_->next_ : first_) = &last;
    last_ = &last;
}

void thread_queue_gate::line::remove(party& leaving) noexcept {
    leaving.is_in_line_ = false;
    (leaving.previous_ ? leaving.previous_->next_ : first_) = leaving.next_;
    (leaving.next_ ? leaving.next_->previous_ : last_) = leaving.previous_;
}

void thread_queue_gate::awakened::take(line& from) noexcept {
    party& taken = *from.front();
    from.remove(taken);
    parties_.add(taken);
    taken.is_in_line_ = false;
}

void thread_queue_gate::awakened::take_all(line& from) noexcept {
    while (!from.empty()) take(from);
}

thread_queue_gate::awakened::~awakened() {
    for (party* each = parties_.front(); each;) {
        party* const woken = each;
        each = each->next_;  // it may be gone once it is woken
        woken->wake();
    }
}

thread_queue_gate::ending thread_queue_gate::thread_party::wait(line& in, guard_type& guard,
                                                                time_limit limit) noexcept {
    if (is_zero(limit)) return ending::timed_out;
    in.add(*this);
    guard.unlock();
    if (parker_.park(limit.deadline())) return ended_;
    guard.lock();
    if (is_in_line_) {
        in.remove(*this);
        return ending::timed_out;
    }
    guard.unlock();
    parker_.park(std::chrono::steady_clock::time_point::max());
    return ended_;
}

void thread_queue_gate::task_party::wait_in(line& in) noexcept {
    line_ = &in;
    inbox_ = &loop().inbox();
    inbox_->add_references();
    in.add(*this);
}

bool thread_queue_gate::task_party::abandon() noexcept {
    {
        const guard_type guard(gate_.mutex_);
        if (!is_in_line_) return false;
        line_->remove(*this);
    }
    inbox_->release();
    return true;
}

void thread_queue_gate::task_party::wake() noexcept {
    tercet::asyncio::inbox& inbox = *inbox_;
    inbox.push(*this);  // the loop does not end before its tasks, so it is open
    inbox.release();
}

void thread_queue_gate::task_party::arrive(ready_node& self, reason) noexcept {
    static_cast<task_party&>(self).complete();
}

bool thread_queue_gate::join_awaiter::begin() noexcept {
    const guard_type guard(gate_.mutex_);
    if (gate_.unfinished_ == 0) return true;
    wait_in(gate_.joiners_);
    return false;
}

bool thread_queue_gate::task_done(std::size_t count, awakened& woken) noexcept {
    if (count > unfinished_) return false;
    unfinished_ -= count;
    if (unfinished_ == 0) woken.take_all(joiners_);
    return true;
}

bool thread_queue_gate::join(time_limit limit) noexcept {
    guard_type guard(mutex_);
    if (unfinished_ == 0) return true;
    thread_party mine(nullptr);
    return mine.wait(joiners_, guard, limit) == ending::done;
}

void thread_queue_gate::end_all(line& of, awakened& woken) noexcept {
    while (party* const waiting = of.front()) {
        waiting->ended_ = ending::shut_down;
        woken.take(of);
    }
}

void thread_queue_gate::shut_down(awakened& woken) noexcept {
    is_shut_down_ = true;
    end_all(getters_, woken);
    end_all(putters_, woken);
}

void thread_queue_gate::require_no_loop(time_limit limit, const char* method, const char* instead) {
    if (is_zero(limit) || !find_running_loop()) return;
    throw invalid_state_error(fmt::format(
        "thread_queue: {} would block the event loop of this thread; co_await {} instead", method, instead));
}

}  // namespace tercet::asyncio
