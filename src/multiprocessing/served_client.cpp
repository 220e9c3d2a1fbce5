// A call waits in one monitor at a time, and says so to its client before it enters and after it has left. Who ends a
// client sets `is_gone`, and then goes through the monitor in which it waits, if it does: either the call is asleep by
// then, and is woken, or it looks at `is_gone` before it sleeps. The order of the mutexes is client, monitor.
//
// A lock is noted before its monitor is entered. `go` sets `is_gone` and then asks each noted lock, in its monitor,
// whether the client has it: whoever enters after that sees `is_gone`, and does not take it any more.

#include "served_client.hpp"

#include <tercet/futures/errors.hpp>

#include <poll.h>

#include <utility>

#include "served_lock_state.hpp"

namespace tercet::multiprocessing::served {

namespace {

thread_local client* current_client = nullptr;

}  // namespace

client& client::current() {
    if (!current_client) throw invalid_state_error("manager: this object is for calls that come through a manager");
    return *current_client;
}

void client::set_current(client* served) noexcept { current_client = served; }

void client::go() noexcept {
    is_gone_.store(true, std::memory_order_seq_cst);
    std::map<const lock_state*, std::weak_ptr<lock_state>> locks;
    {
        const std::lock_guard guard(mutex_);
        if (waits_in_) {
            const std::lock_guard inside(waits_in_->mutex_);
            waits_in_->changed_.notify_all();
        }
        locks = std::exchange(locks_, {});
    }
    for (const auto& [address, each] : locks)
        if (const auto lock = each.lock()) lock->abandon(number_);
}

bool client::has_hung_up() const noexcept {
    pollfd line{line_, POLLRDHUP, 0};
    return ::poll(&line, 1, 0) == 1;
}

void client::note_lock(const std::shared_ptr<lock_state>& lock) {
    const std::lock_guard guard(mutex_);
    locks_.insert_or_assign(lock.get(), lock);
}

void client::forget_lock(const lock_state* lock) noexcept {
    const std::lock_guard guard(mutex_);
    locks_.erase(lock);
}

visit::visit(monitor& visited) : client_(client::current()), visited_(visited) {
    {
        const std::lock_guard guard(client_.mutex_);
        client_.waits_in_ = &visited;
    }
    inside_ = std::unique_lock(visited.mutex_);
}

visit::~visit() {
    inside_.unlock();
    const std::lock_guard guard(client_.mutex_);
    client_.waits_in_ = nullptr;
}

bool visit::sleep_until(time_point deadline) {
    if (deadline != time_point::max())
        return visited_.changed_.wait_until(inside_, deadline) == std::cv_status::no_timeout;
    visited_.changed_.wait(inside_);
    return true;
}

}  // namespace tercet::multiprocessing::served
