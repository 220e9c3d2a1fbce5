// What a worker does, and what a call that waits makes it do. The rules stand in pool_core.cpp.

#include "threading/pool_worker.hpp"

#include <fmt/format.h>
#include <pthread.h>

#include <algorithm>
#include <bit>
#include <mutex>
#include <optional>
#include <stop_token>

namespace tercet::threading {

constinit thread_local pool_worker* pool_worker::current_ = nullptr;

// Not inlined: a coroutine may go on on another thread than the one on which it last saw a thread_local.
[[gnu::noinline]] pool_worker* pool_worker::current() noexcept { return current_; }

pool_worker::pool_worker(core& owner, std::size_t number, std::string name)
    : rest(wake_up()),
      owner_(owner),
      number_(number),
      thread_(thread_options{.name = std::move(name)}, [this](std::stop_token at_exit) { run(std::move(at_exit)); }) {}

void pool_worker::note_wait(std::int64_t since_ns) noexcept {
    const auto waited_us = static_cast<std::uint64_t>(std::max<std::int64_t>(0, now_ns() - since_ns)) / 1000;
    const auto bucket = std::min<std::size_t>(std::bit_width(waited_us), waits_.size() - 1);
    waits_[bucket].store(waits_[bucket].load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
}

void pool_worker::begin_named(const std::string& name) noexcept {
    const std::lock_guard lock(names_lock_);
    try {
        names_.push_back(name);
    } catch (...) {
        names_.clear();  // no memory for names: then there are none
    }
}

void pool_worker::end_named() noexcept {
    const std::lock_guard lock(names_lock_);
    if (!names_.empty()) names_.pop_back();
}

std::string pool_worker::describe() const {
    const std::lock_guard lock(names_lock_);
    return names_.empty() ? name() : fmt::format("{} ('{}')", name(), fmt::join(names_, "', '"));
}

void pool_worker::execute(job& work) noexcept {
    if (rest.is_searching) owner_.end_search(rest);
    owner_.job_left();
    if (owner_.cancels() && !work.is_forked) {
        work.discard();
    } else {
        if (work.submitted_ns != 0) note_wait(work.submitted_ns);
        const bool has_name = work.name != nullptr;
        if (has_name) begin_named(*work.name);
        frame here{&work, deque.height(), top_frame_};
        top_frame_ = &here;
        work.run(this);
        top_frame_ = here.below;
        if (has_name) end_named();
        done_.store(done_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    }
    if (depth_ == 0 && !has_jobs()) is_busy.store(false, std::memory_order_relaxed);
}

bool pool_worker::execute_at_once(job& work) noexcept {
    if (at_once_ == most_at_once) return false;
    ++at_once_;
    execute_inside(work);
    --at_once_;
    return true;
}

job* pool_worker::look() noexcept {
    if (owner_.has_urgent())
        if (job* const work = owner_.take(*this, true)) return work;
    const unsigned turn = ++finds_ % turn_of_others;
    const bool is_turn_of_queue = turn == 0;
    const bool is_turn_of_others = turn == turn_of_others / 2;
    if (!is_turn_of_queue && !is_turn_of_others)
        if (job* const work = deque.pop()) return set_busy(), work;
    if (job* const work = find_elsewhere(is_turn_of_others)) return work;
    if (is_turn_of_queue || is_turn_of_others)
        if (job* const work = deque.pop()) return set_busy(), work;
    return nullptr;
}

job* pool_worker::find_elsewhere(bool steals_first) noexcept {
    if (steals_first)
        if (job* const work = owner_.steal(*this)) return set_busy(), work;
    if (job* const work = taken.steal()) return set_busy(), work;
    if (owner_.has_queued())
        if (job* const work = owner_.take(*this, false)) return work;
    if (!steals_first)
        if (job* const work = owner_.steal(*this)) return set_busy(), work;
    return nullptr;
}

bool pool_worker::search() noexcept {
    if (owner_.is_shut_down() || !owner_.begin_search(rest)) return false;
    return idle_spin_.until([this] { return owner_.has_work() || owner_.is_shut_down(); });
}

void pool_worker::run(std::stop_token at_exit) {
    const std::shared_ptr<core> kept = std::move(kept_);
    current_ = this;
    set_current(this);
    find_stack();
    {
        const std::stop_callback leave_then(at_exit, [this] { owner_.end_with_process(); });
        if (owner_.initialize(*this)) {
            do {
                while (job* const work = owner_.is_lost() ? nullptr : find()) execute(*work);
            } while (!owner_.is_lost() && (search() || owner_.sleep(rest)));
            if (!owner_.is_lost()) owner_.end_search(rest);
        }
    }
    set_current(nullptr);
    current_ = nullptr;
    is_busy.store(true, std::memory_order_seq_cst);  // nobody is to rely on it
    if (owner_.is_lost()) return;
    owner_.note_busy();
    owner_.leave();
}

void pool_worker::find_stack() noexcept {
    pthread_attr_t attributes;
    if (::pthread_getattr_np(::pthread_self(), &attributes) != 0) return;  // then it counts as endless
    void* end = nullptr;
    if (::pthread_attr_getstack(&attributes, &end, &stack_size_) == 0)
        stack_end_ = reinterpret_cast<std::uintptr_t>(end);
    ::pthread_attr_destroy(&attributes);
}

std::size_t pool_worker::stack_left() const noexcept {
    return reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0)) - stack_end_;
}

void pool_worker::check_wait(const future_state_base* waited) {
    if (stack_left() < stack_size_ / 4)
        throw invalid_state_error(fmt::format(
            "thread_pool_executor: calls that wait for one another lie {} deep on the stack of {}, which is too deep",
            depth_ + 1, name()));
    if (!waited || !waited->is_running()) return;
    for (const frame* each = top_frame_; each; each = each->below)
        if (each->work->result_state() == waited)
            throw invalid_state_error(fmt::format(
                "thread_pool_executor: a call waits for one that lies below it on the stack of {}: {}", name(),
                each == top_frame_ ? "itself"
                                   : "that one waits, and its thread took this one meanwhile, because no other was "
                                     "there; let the pool have more threads"));
}

bool pool_worker::wait(bool (*is_over)(void*), void* context, time_limit::clock::time_point deadline) noexcept {
    if (owner_.is_lost()) {
        while (!is_over(context))
            if (!wake_up().park(deadline)) return is_over(context);
        return true;
    }
    const bool may_help = stack_left() > stack_size_ / 2;
    const auto sees_work = [&] { return may_help && owner_.has_work() && owner_.is_saturated(); };
    const auto is_near = [&] { return time_limit::clock::now() + adaptive_spin::longest >= deadline; };
    bool is_in_time = true;
    ++depth_;
    while (!is_over(context)) {
        is_in_time = deadline == core::never || time_limit::clock::now() < deadline;
        if (!is_in_time) break;
        if (job* const work = find_waiting(may_help)) {
            execute(*work);
            continue;
        }
        if (deadline == core::never || !is_near()) {
            if (may_help && owner_.is_saturated()) owner_.begin_search(rest);
            const bool counts = rest.is_searching;
            if (wait_spin_.until([&] { return is_over(context) || (counts && sees_work()); })) continue;
        }
        if (may_help)
            owner_.sleep_waiting(rest, deadline);
        else
            wake_up().park(deadline);
    }
    --depth_;
    owner_.end_search(rest);
    return is_in_time || is_over(context);
}

}  // namespace tercet::threading
