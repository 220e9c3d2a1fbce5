// A round: threads arrive and wait inside. The last one, if there is an action, runs it without the mutex while
// is_acting_; who comes meanwhile waits before the door, so that no second round begins. Then all inside
// leave, each with its verdict written into its visit before it is woken; the next round may begin at once and does not
// meet them.
//
// A time limit that passes while the action runs breaks nothing: the round is complete. But who gives up before the
// door will be missed in the next round: the barrier is broken as soon as the present one has passed.
// abort and reset while the action runs: those inside leave broken at once, and so does the thread of the action when
// it comes back.

#include <tercet/threading/barrier.hpp>

#include <fmt/format.h>

#include <stdexcept>
#include <string_view>
#include <utility>

namespace tercet::threading {

namespace {

[[noreturn]] void throw_broken(std::string_view because) {
    throw broken_barrier_error(fmt::format("barrier: {}; reset() makes it usable again", because));
}

}  // namespace

/// Those who wake when the mutex is free again.
struct barrier::released {
    waiting_line::awakened inside;
    waiting_line::awakened before_the_door;
};

struct barrier::visit {
    visit* next;
    bool has_passed = false;
};

barrier::barrier(std::size_t parties, std::function<void()> action, time_limit limit)
    : parties_(parties), action_(std::move(action)), limit_(limit) {
    if (parties == 0) throw std::invalid_argument("barrier: no parties; give one or more");
}

std::size_t barrier::wait() { return wait(limit_); }

std::size_t barrier::wait(time_limit limit) {
    const auto deadline = limit.deadline();
    released woken;
    waiting_line::guard_type guard(mutex_);
    while (is_acting_ && !is_broken_) {
        if (before_the_door_.wait(guard, deadline) || !is_acting_ || is_broken_) continue;
        misses_a_party_ = true;
        throw_broken("the time limit passed while the action of the round before ran");
    }
    if (is_broken_) throw_broken("it is broken: a party gave up, or it was aborted");
    const std::size_t index = arrived_++;
    if (arrived_ == parties_) return finish_round(guard, woken, index);
    visit mine{.next = visits_};
    visits_ = &mine;
    waiting_line::place place;
    inside_.enter(place);
    for (auto until = deadline; !inside_.sleep(place, guard, until);) {
        if (!is_acting_) {
            const std::size_t there = arrived_;
            is_broken_ = true;
            woken.inside = leave_all(false);
            guard.unlock();
            throw_broken(fmt::format("the time limit passed with {} of {} parties there", there, parties_));
        }
        inside_.enter(place);
        until = std::chrono::steady_clock::time_point::max();
    }
    if (!mine.has_passed) throw_broken("it was broken or reset while this thread waited");
    return index;
}

std::size_t barrier::finish_round(waiting_line::guard_type& guard, released& woken, std::size_t index) {
    if (action_) {
        is_acting_ = true;
        is_disturbed_ = false;
        guard.unlock();
        std::exception_ptr error;
        try {
            action_();
        } catch (...) {
            error = std::current_exception();
        }
        guard.lock();
        is_acting_ = false;
        woken.before_the_door = before_the_door_.take_all();
        if (std::exchange(misses_a_party_, false)) is_broken_ = true;
        if (error) {
            if (!is_disturbed_) {
                is_broken_ = true;
                woken.inside = leave_all(false);
            }
            std::rethrow_exception(std::move(error));
        }
        if (is_disturbed_) throw_broken("it was broken or reset while its action ran");
    }
    woken.inside = leave_all(true);
    return index;
}

waiting_line::awakened barrier::leave_all(bool with_success) noexcept {
    for (visit* each = std::exchange(visits_, nullptr); each; each = each->next) each->has_passed = with_success;
    arrived_ = 0;
    return inside_.take_all();
}

void barrier::reset() {
    released woken;
    const waiting_line::guard_type guard(mutex_);
    is_disturbed_ = true;
    is_broken_ = false;
    misses_a_party_ = false;
    woken.inside = leave_all(false);
}

void barrier::at_fork_reinit() noexcept {
    mutex_.reinit();
    inside_.reinit();
    before_the_door_.reinit();
    visits_ = nullptr;
    arrived_ = 0;
    is_acting_ = is_broken_ = is_disturbed_ = misses_a_party_ = false;
}

void barrier::abort() {
    released woken;
    const waiting_line::guard_type guard(mutex_);
    is_disturbed_ = true;
    is_broken_ = true;
    woken.inside = leave_all(false);
    woken.before_the_door = before_the_door_.take_all();
}

std::size_t barrier::n_waiting() const noexcept {
    const waiting_line::guard_type guard(mutex_);
    return arrived_;
}

bool barrier::broken() const noexcept {
    const waiting_line::guard_type guard(mutex_);
    return is_broken_;
}

}  // namespace tercet::threading
