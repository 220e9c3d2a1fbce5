#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>

namespace tercet::multiprocessing::served {

using time_point = std::chrono::steady_clock::time_point;

class lock_state;
class monitor;

/// Thrown out of a call whose client is gone, so that it takes nothing and holds nothing. No `std::exception`: it is
/// for the manager alone.
struct client_is_gone {};

/// A thread of a client, as the manager knows it.
class client {
public:
    client(std::uint64_t number, int line) noexcept : number_(number), line_(line) {}
    client(const client&) = delete;
    client& operator=(const client&) = delete;

    /// Not 0, and never that of another one.
    std::uint64_t number() const noexcept { return number_; }
    bool is_gone() const noexcept { return is_gone_.load(std::memory_order_seq_cst); }
    /// Asks the kernel, which knows it earlier, whether the other end of the line is closed. For the thread that
    /// serves.
    bool has_hung_up() const noexcept;

    /// Its line has ended, or the manager ends: its call throws `client_is_gone` where it waits, and the locks that it
    /// holds are free. Any thread, once or more.
    void go() noexcept;

    /// A lock that this client may hold from now on, or holds no more.
    void note_lock(const std::shared_ptr<lock_state>& lock);
    void forget_lock(const lock_state* lock) noexcept;

    /// Whose call this thread serves. Throws `invalid_state_error` when it serves none.
    static client& current();
    static void set_current(client* served) noexcept;

private:
    friend class visit;

    const std::uint64_t number_;
    const int line_;
    std::atomic<bool> is_gone_{false};
    std::mutex mutex_;
    monitor* waits_in_ = nullptr;
    std::map<const lock_state*, std::weak_ptr<lock_state>> locks_;
};

/// What the calls of several clients change and wait for.
class monitor {
public:
    monitor() = default;
    monitor(const monitor&) = delete;
    monitor& operator=(const monitor&) = delete;

private:
    friend class client;
    friend class visit;
    friend class lock_state;

    std::mutex mutex_;
    std::condition_variable changed_;
};

/// While one lives, the call of this thread is alone in a monitor.
class visit {
public:
    explicit visit(monitor& visited);
    visit(const visit&) = delete;
    visit& operator=(const visit&) = delete;
    ~visit();

    /// Waits, while others may enter, until `predicate()` is true or `deadline` passes. Returns whether it is true.
    /// Throws `client_is_gone`, also when it is true: who is gone gets nothing.
    template <class Predicate>
    bool wait_until(time_point deadline, Predicate predicate) {
        for (bool has_passed = false;; has_passed = !sleep_until(deadline)) {
            if (client_.is_gone()) throw client_is_gone();
            if (predicate()) {
                if (client_.has_hung_up()) throw client_is_gone();
                return true;
            }
            if (has_passed) return false;
        }
    }
    /// Lets those who wait look again.
    void notify_all() noexcept { visited_.changed_.notify_all(); }
    client& served() const noexcept { return client_; }

private:
    /// False: `deadline` has passed.
    bool sleep_until(time_point deadline);

    client& client_;
    monitor& visited_;
    std::unique_lock<std::mutex> inside_;
};

}  // namespace tercet::multiprocessing::served
