// While anybody waits, no token is free: who gives one back, or adds some, hands over in the same step, and a newcomer
// cannot overtake. A waiter has its place in the set of borrowers with it from the beginning, so handing over cannot
// fail. Tasks are known by their numbers, which are not used again, unlike their addresses; calls count down from the
// largest.

#include <tercet/asyncio/capacity_limiter.hpp>
#include <tercet/asyncio/event_loop.hpp>
#include <tercet/asyncio/task_base.hpp>
#include <tercet/futures/errors.hpp>

#include <fmt/format.h>

#include <stdexcept>

namespace tercet::asyncio {

namespace {

std::size_t checked_total(std::size_t total_tokens) {
    if (total_tokens == 0)
        throw std::invalid_argument("capacity_limiter: with no tokens everybody would wait for ever; take 1 or more");
    return total_tokens;
}

task_base& running_task(const char* call) {
    event_loop* const loop = find_running_loop();
    task_base* const task = loop ? loop->current_task() : nullptr;
    if (!task) throw invalid_state_error(fmt::format("capacity_limiter: {} outside a task", call));
    return *task;
}

void require_none(const std::set<std::uint64_t>& borrowers, const task_base& task) {
    if (borrowers.contains(task.number()))
        throw invalid_state_error(
            fmt::format("capacity_limiter: {} has a token already; a task borrows one at most", task.name()));
}

}  // namespace

capacity_limiter::capacity_limiter(std::size_t total_tokens) : total_(checked_total(total_tokens)) {}

bool capacity_limiter::acquire_awaiter::begin() noexcept {
    try {
        const task_base& task = waiting_task();
        if (!is_for_call_) require_none(owner_.borrowers_, task);
        who_ = is_for_call_ ? --owner_.calls_ : task.number();
        if (owner_.available_tokens() > 0) {
            owner_.borrowers_.insert(who_);
            return true;
        }
        std::set<borrower> single{who_};
        place_ = single.extract(single.begin());
    } catch (...) {
        error_ = std::current_exception();
        return true;
    }
    wait_in(owner_.waiters_);
    return false;
}

bool capacity_limiter::try_acquire() {
    const task_base& task = running_task("try_acquire");
    require_none(borrowers_, task);
    if (available_tokens() == 0) return false;
    borrowers_.insert(task.number());
    return true;
}

void capacity_limiter::release() {
    const task_base& task = running_task("release");
    if (!borrowers_.contains(task.number()))
        throw invalid_state_error(fmt::format("capacity_limiter: release by {}, which has no token", task.name()));
    give_back(task.number());
}

void capacity_limiter::set_total_tokens(std::size_t total_tokens) {
    total_ = checked_total(total_tokens);
    let_in();
}

void capacity_limiter::give_back(borrower who) noexcept {
    borrowers_.erase(who);
    let_in();
}

void capacity_limiter::let_in() noexcept {
    while (available_tokens() > 0) {
        auto* const next = static_cast<acquire_awaiter*>(waiters_.pop());
        if (!next) return;
        borrowers_.insert(std::move(next->place_));
    }
}

}  // namespace tercet::asyncio
