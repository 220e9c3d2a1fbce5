// Threads of a watch take turns. One leads: it waits for the earliest deadline. When that has passed, it gives up the
// lead before it lets go what has expired, because that may take its time (callbacks, stop callbacks), and is not to
// hold up the others. Another thread leads then: one that has come back and rests, or a new one, if there is anything
// to wait for. One thread rests at most; a watch whose deadlines never pass has one thread, and none before the first.
//
// The state is shared with the threads, because the watch may go while something expires on one of them. In the child
// of a fork these threads do not exist, and the mutex may be held by one of them: there nothing is touched.

#include <tercet/futures/deadline_watch.hpp>
#include <tercet/futures/errors.hpp>
#include <tercet/futures/fork_generation.hpp>

#include <pthread.h>

#include <algorithm>
#include <condition_variable>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

namespace tercet {

class deadline_watch::state : public std::enable_shared_from_this<state> {
public:
    void add(std::chrono::steady_clock::time_point when, expiring& watched) {
        if (is_of_another_process())
            throw invalid_state_error("deadline_watch: it belongs to the process that this one is a fork of");
        const std::lock_guard lock(mutex_);
        const expiring::key place(when, ++added_);
        entries_.emplace(place, &watched);
        try {
            see_to_a_leader();
        } catch (...) {
            entries_.erase(place);
            throw;
        }
        if (entries_.erase(std::exchange(watched.key_, place)) == 0) watched.add_expiring_reference();
        if (entries_.begin()->second == &watched) changed_.notify_one();
    }

    void forget(expiring& watched) noexcept {
        if (is_of_another_process()) return;
        {
            const std::lock_guard lock(mutex_);
            if (entries_.erase(std::exchange(watched.key_, {})) == 0) return;
        }
        watched.release_expiring();
    }

    void end() {
        std::unique_lock lock(mutex_);
        is_ending_ = true;
        changed_.notify_all();
        lead_is_free_.notify_all();
        const auto forgotten = std::exchange(entries_, {});
        auto leaving = std::exchange(threads_, {});
        std::thread gone = std::move(gone_);
        lock.unlock();
        if (gone.joinable()) gone.join();
        for (std::thread& each : leaving) each.get_id() == std::this_thread::get_id() ? each.detach() : each.join();
        for (const auto& [place, watched] : forgotten) watched->release_expiring();
    }

    bool is_of_another_process() const noexcept { return process_ != fork_generation(); }

private:
    /// Throws `std::system_error`.
    void see_to_a_leader() {
        if (is_led_ || entries_.empty() || is_ending_) return;
        if (rests_) return lead_is_free_.notify_one();
        if (is_starting_) return;
        threads_.reserve(threads_.size() + 1);
        threads_.emplace_back([self = shared_from_this()] { self->run(); });
        is_starting_ = true;
    }

    void run() {
        ::pthread_setname_np(::pthread_self(), "tercet-watch");
        std::unique_lock lock(mutex_);
        is_starting_ = false;
        while (!is_ending_) {
            if (is_led_) {
                if (rests_) break;
                rests_ = true;
                lead_is_free_.wait(lock, [this] { return is_ending_ || !is_led_; });
                rests_ = false;
                continue;
            }
            is_led_ = true;
            expiring* const expired = wait_for_the_next(lock);
            is_led_ = false;
            if (!expired) break;
            try {
                see_to_a_leader();
            } catch (const std::system_error&) {  // this thread comes back, later
            }
            lock.unlock();
            expired->expire();
            expired->release_expiring();
            lock.lock();
        }
        leave(lock);
    }

    /// The first to expire, which is taken out; null at the end.
    expiring* wait_for_the_next(std::unique_lock<std::mutex>& lock) {
        while (!is_ending_) {
            if (entries_.empty()) {
                changed_.wait(lock);
                continue;
            }
            const auto next = entries_.begin();
            const auto when = next->first.first;  // the wait must not look into an entry that may go
            if (std::chrono::steady_clock::now() < when) {
                changed_.wait_until(lock, when);
                continue;
            }
            expiring* const expired = next->second;
            expired->key_ = {};
            entries_.erase(next);
            return expired;
        }
        return nullptr;
    }

    /// The last one that left is joined by the next.
    void leave(std::unique_lock<std::mutex>& lock) {
        const auto own = std::ranges::find(threads_, std::this_thread::get_id(), &std::thread::get_id);
        if (own == threads_.end()) return;  // end() has it
        std::thread before = std::exchange(gone_, std::move(*own));
        threads_.erase(own);
        lock.unlock();
        if (before.joinable()) before.join();
    }

    const std::uint64_t process_ = fork_generation();
    std::mutex mutex_;
    std::condition_variable changed_;             // for the one that leads
    std::condition_variable lead_is_free_;        // for the one that rests
    std::map<expiring::key, expiring*> entries_;  // the earliest first
    std::uint64_t added_ = 0;
    bool is_led_ = false;
    bool rests_ = false;
    bool is_starting_ = false;
    bool is_ending_ = false;
    std::vector<std::thread> threads_;
    std::thread gone_;
};

deadline_watch::deadline_watch() : state_(std::make_shared<state>()) {}

deadline_watch::~deadline_watch() {
    if (state_->is_of_another_process())
        static_cast<void>(new std::shared_ptr<state>(std::move(state_)));  // kept: see above
    else
        state_->end();
}

void deadline_watch::add(std::chrono::steady_clock::time_point when, expiring& watched) { state_->add(when, watched); }

void deadline_watch::forget(expiring& watched) noexcept { state_->forget(watched); }

}  // namespace tercet
