// An event loop whose coroutines wait for calls takes the answers by itself: workers ring a bell that it watches,
// instead of that of the pool's thread, which sleeps on. One loop has that part at a time; those of others are woken by
// it.
//
// A loop may be busy with something else, or blocked. Therefore the pool's thread looks now and then what has come, as
// long as a loop has its part. When it finds answers the loop is late, and the bells ring for the pool's thread again
// until the loop is back; so callbacks of other futures, and calls that wait for a worker, wait once, for a moment. The
// timer for it goes on for a while when a loop gives the part back, so that one that awaits call after call does not
// set it for each.

#include <sys/timerfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <new>
#include <vector>

#include "pool_manager.hpp"

namespace tercet::multiprocessing {

namespace {

constexpr long look_after_loop_every_ns = 25'000'000;
constexpr int most_rounds = 4;  // before the loop has a turn again

void ring(const unique_fd& bell) noexcept {
    const std::uint64_t one = 1;
    while (::write(bell.get(), &one, sizeof one) < 0 && errno == EINTR) {
    }
}

void clear(const unique_fd& bell_or_timer) noexcept {
    std::uint64_t count = 0;
    [[maybe_unused]] const auto read = ::read(bell_or_timer.get(), &count, sizeof count);
}

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
        ring(loop_bell_);
    else
        queue_.wake();
}

int pool_manager::begin_taking() noexcept {
    const std::lock_guard lock(mutex_);
    if (has_loop_ || is_over_) return -1;
    has_loop_ = true;
    is_loop_late_ = false;
    if (!is_loop_timer_set_) set_loop_timer(true);
    if (!ask_for_signals()) wake_reader();
    return loop_bell_.get();
}

void pool_manager::take_answers() noexcept {
    lock_type lock(mutex_);
    callback_collector callbacks(*this);
    is_loop_late_ = false;
    try {
        std::vector<channel_pointer> seen;
        for (int round = 0; has_loop_; ++round) {
            for (const auto& [id, worker] : workers_)
                if (!worker->has_driver && has_readable_answer(*worker)) seen.push_back(worker);
            for (const channel_pointer& worker : seen) {
                if (!worker->has_driver) read_answers(worker, lock, &callbacks);
                if (worker->due_signal != 0) queue_.wake();
            }
            seen.clear();
            if (ask_for_signals()) break;
            if (round < most_rounds) continue;
            wake_reader();
            break;
        }
    } catch (const std::bad_alloc&) {
        queue_.wake();
    }
    if (needs_own_thread()) queue_.wake();
}

void pool_manager::end_taking() noexcept {
    {
        const std::lock_guard lock(mutex_);
        has_loop_ = false;
        if (!ask_for_signals()) wake_reader();
    }
    clear(loop_bell_);  // or the next loop would be woken for nothing
}

/// There were answers that the loop has not taken. When it comes to look, it has its part again.
void pool_manager::note_late_loop() noexcept {
    is_loop_late_ = true;
    ring(loop_bell_);
}

void pool_manager::set_loop_timer(bool runs) noexcept {
    itimerspec interval{};
    if (runs) interval = {{0, look_after_loop_every_ns}, {0, look_after_loop_every_ns}};
    ::timerfd_settime(loop_timer_.get(), 0, &interval, nullptr);
    is_loop_timer_set_ = runs;
}

void pool_manager::on_loop_timer() noexcept {
    clear(loop_timer_);
    is_look_after_loop_due_ = has_loop_;
    if (!has_loop_) set_loop_timer(false);
}

}  // namespace tercet::multiprocessing
