// An event loop whose coroutines wait for calls takes the answers by itself: workers ring a bell that it watches,
// instead of that of the pool's thread, which sleeps on. One loop has that part at a time; those of others are woken by
// it.
//
// A loop may be busy with something else, or blocked. Therefore the pool's thread looks now and then what has come, as
// long as a loop has its part: soon after a call was submitted or answered, less and less often while nothing happens.
// When it finds answers the loop is late, and the bells ring for the pool's thread again until the loop is back; so
// callbacks of other futures, and calls that wait for a worker, wait once, for a moment. The timer for it goes on when
// a loop gives the part back, up to the next look, so that one that awaits call after call does not set it for each.

#include <sys/timerfd.h>

#include <algorithm>
#include <chrono>
#include <new>
#include <utility>

#include "bell.hpp"
#include "pool_manager.hpp"

namespace tercet::multiprocessing {

namespace {

using namespace std::chrono_literals;

constexpr std::chrono::nanoseconds first_look_after = 25ms;
constexpr std::chrono::nanoseconds last_look_after = 1s;
constexpr int most_rounds = 2;  // before the loop has a turn again

}  // namespace

/// Asks each worker to tell of its next answer. False: there are answers already.
bool pool_manager::ask_for_signals() noexcept {
    bool is_quiet = true;
    for (const auto& [id, worker] : workers_) {
        if (worker->has_driver) continue;
        worker->ask_for(quiet_signal());
        if (has_readable_answer(*worker)) is_quiet = false;
    }
    return is_quiet;
}

/// There are answers that nobody may have seen.
void pool_manager::wake_reader() noexcept {
    if (has_attentive_loop())
        ring(loop_bell_.get());
    else
        queue_.wake();
}

int pool_manager::begin_taking() noexcept {
    const std::lock_guard lock(mutex_);
    if (has_loop_ || is_over_) return -1;
    has_loop_ = true;
    is_loop_late_ = false;
    look_soon_after_loop();
    if (!ask_for_signals()) wake_reader();
    return loop_bell_.get();
}

void pool_manager::take_answers() noexcept {
    lock_type lock(mutex_);
    if (!has_loop_) return;
    clear_bell(loop_bell_.get());  // workers write to it, who might fill it
    is_loop_late_ = false;
    callback_collector callbacks(*this);
    try {
        for (int round = 0; has_loop_; ++round) {
            for (const auto& [id, worker] : workers_)
                if (!worker->has_driver && has_readable_answer(*worker)) seen_by_loop_.push_back(worker);
            for (const channel_pointer& worker : seen_by_loop_) {
                if (!worker->has_driver && read_answers(worker, lock, &callbacks) != 0) look_soon_after_loop();
                if (worker->due_signal != 0) queue_.wake();
            }
            seen_by_loop_.clear();
            if (ask_for_signals()) break;
            if (round + 1 < most_rounds) continue;
            wake_reader();
            break;
        }
    } catch (const std::bad_alloc&) {
        seen_by_loop_.clear();
        queue_.wake();
    }
    if (needs_own_thread()) queue_.wake();
}

void pool_manager::end_taking() noexcept {
    const std::lock_guard lock(mutex_);
    clear_bell(loop_bell_.get());  // or the next loop would be woken for nothing
    has_loop_ = false;
    if (is_over_) loop_bell_.reset();
    if (!ask_for_signals()) wake_reader();
}

/// There were answers that the loop has not taken. When it comes to look, it has its part again.
void pool_manager::note_late_loop() noexcept {
    is_loop_late_ = true;
    ring(loop_bell_.get());
}

void pool_manager::set_loop_timer(std::chrono::nanoseconds after) noexcept {
    const itimerspec once{{}, {after.count() / 1'000'000'000, static_cast<long>(after.count() % 1'000'000'000)}};
    ::timerfd_settime(loop_timer_.get(), 0, &once, nullptr);
    look_after_loop_in_ = after;
}

/// Something has happened while a loop has its part.
void pool_manager::look_soon_after_loop() noexcept {
    if (look_after_loop_in_ != first_look_after) set_loop_timer(first_look_after);
}

void pool_manager::on_loop_timer() noexcept {
    clear_bell(loop_timer_.get());
    is_look_after_loop_due_ = has_loop_;
    if (!has_loop_) {
        look_after_loop_in_ = {};
        return;
    }
    const bool is_quiet = std::exchange(answered_at_look_, answered_) == answered_;
    set_loop_timer(is_quiet ? std::min(2 * look_after_loop_in_, last_look_after) : first_look_after);
}

}  // namespace tercet::multiprocessing
