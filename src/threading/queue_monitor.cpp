// Every visit, whatever it did, ends with a look: is there an item and a getter in line, is there room and a putter in
// line? So a wake-up that a visitor got and did not use (its item threw, its deadline passed) goes to the next one, and
// several wake-ups that were made into one are made up for.

#include <tercet/threading/queue_monitor.hpp>

namespace tercet::threading {

namespace {

bool is_zero(time_limit limit) noexcept {
    const auto duration = limit.duration();
    return duration && duration->count() == 0;
}

}  // namespace

auto queue_monitor::visit::wait_for_room(time_limit limit) -> outcome {
    const auto deadline = limit.deadline();
    for (bool is_last = is_zero(limit);;) {
        if (owner_.is_shut_down_) return outcome::shut_down;
        if (owner_.size_ < owner_.maxsize_) return outcome::ready;
        if (is_last) return outcome::timed_out;
        is_last = !owner_.putters_.wait(guard_, deadline);
    }
}

auto queue_monitor::visit::wait_for_item(time_limit limit) -> outcome {
    const auto deadline = limit.deadline();
    for (bool is_last = is_zero(limit);;) {
        if (owner_.size_ != 0) return outcome::ready;
        if (owner_.is_shut_down_) return outcome::shut_down;
        if (is_last) return outcome::timed_out;
        is_last = !owner_.getters_.wait(guard_, deadline);
    }
}

void queue_monitor::leave(visit& visitor) noexcept {
    if (size_ != 0) visitor.getter_ = getters_.take_one();
    if (size_ < maxsize_) visitor.putter_ = putters_.take_one();
}

std::size_t queue_monitor::size() const noexcept {
    const waiting_line::guard_type guard(mutex_);
    return size_;
}

std::size_t queue_monitor::maxsize() const noexcept {
    const waiting_line::guard_type guard(mutex_);
    return maxsize_;
}

void queue_monitor::set_maxsize(std::size_t maxsize) noexcept {
    waiting_line::awakened woken;
    const waiting_line::guard_type guard(mutex_);
    maxsize_ = maxsize;
    woken = putters_.take_all();
}

bool queue_monitor::task_done() noexcept {
    waiting_line::awakened woken;
    const waiting_line::guard_type guard(mutex_);
    if (unfinished_ == 0) return false;
    if (--unfinished_ == 0) woken = joiners_.take_all();
    return true;
}

bool queue_monitor::join(time_limit limit) {
    waiting_line::guard_type guard(mutex_);
    if (unfinished_ == 0) return true;
    if (is_zero(limit)) return false;
    return joiners_.wait(guard, limit.deadline());
}

void queue_monitor::shut_down() noexcept {
    waiting_line::awakened getters;
    waiting_line::awakened putters;
    const waiting_line::guard_type guard(mutex_);
    is_shut_down_ = true;
    getters = getters_.take_all();
    putters = putters_.take_all();
}

bool queue_monitor::is_shut_down() const noexcept {
    const waiting_line::guard_type guard(mutex_);
    return is_shut_down_;
}

void queue_monitor::at_fork_reinit() noexcept {
    mutex_.reinit();
    getters_.reinit();
    putters_.reinit();
    joiners_.reinit();
    size_ = unfinished_ = 0;
}

}  // namespace tercet::threading
