// Where jobs wait. What comes from outside stands in one queue (injection_queue.hpp); who adds holds adding_, who takes
// holds taking_. What a job submits goes onto its worker's own deque (work_deque.hpp), newest first, and from there to
// workers that have nothing; what finds no room there goes to the queue. When the queue is long and its last jobs were
// short, a worker takes several at once onto a second deque, `taken`, and does them in their order.
//
// Who takes what. A worker is in one of these states:
//
//   running    a call is on its stack
//   searching  it has found nothing, and looks a while longer before it sleeps; counted, half of the workers at most
//   idle       nothing is on its stack; it sleeps, on the list `idle`
//   helping    a call on its stack waits for a future; it sleeps until that is there, on the list `helping`
//
// At the bottom of its stack a worker takes anything: its deque first, then `taken`, then the queue, then the deques of
// others. Every 61st time it looks into the queue first, so that jobs which always submit another do not keep the
// outside waiting, and every 61st time into the deques of others, where jobs may stand behind one that blocks.
//
// While a call waits, its worker takes what this very call has submitted (frame::height). Other jobs, on top of the one
// that waits, only when nobody else could come to them: all threads are there and none is idle. For such a job may wait
// for the call below it, which cannot go on: check_wait throws then. No other job is taken when half of the stack is
// used, and no call may begin to wait when only a quarter is left. With a deadline the clock is looked at before each
// job; after it nothing is taken.
//
// A job counts as the worker's before anything runs. Where a job is added, find_taker sees to it that somebody comes:
// an idle worker, else a new thread, else one that waits. A worker that waits and finds a job which is not for it looks
// whether somebody else comes, in the same way.
//
// Sleep (sleepers.hpp). Whoever adds a job wakes a worker, unless one is searching already: that will find the job. A
// worker which ends its search, for whatever reason, looks afterwards whether there is work, and wakes the next one.
// No wake-up is lost, for all of these accesses are sequentially consistent:
//   - a job is added to a queue or a deque, then the counts of the lists and of the searching are read; a worker raises
//     the count of its list, then looks into all queues and deques. One of the two sees the other;
//   - a searcher lowers the count of the searching before its last look; who saw it searching had added the job before;
//   - a worker that was chosen, or that sees work before it parks, counts as searching from that moment, and ends its
//     search in one of the two ways: more jobs may be there than the one that it takes;
//   - the end of a wait unparks the worker, whatever list it is on; the parker keeps that until it parks.
//
// Threads are started when a job waits that no thread will come to. A worker counts as free from the moment its job is
// over, just before anybody can see the result: a caller who submits one job after another then finds it free each
// time, and no second thread is started. While more threads may be started, a worker that turns to work which it did
// not take from the queue looks, under the mutex, whether somebody came to rely on it. When all threads are there, only
// those that wait rely on free ones: a worker that finds something marks itself as busy, then looks whether one waits
// and there is more work; who adds a job, or is about to sleep in a wait, looks for free workers after the job is
// there.
//
// The bound. What stands in the queue and on the deques counts. Far from the bound nobody counts the deques: they have
// a capacity. Near it, who adds counts them under adding_ and taking_, so the bound is kept exactly. A caller from
// outside waits in a line; a job that leaves calls the first one. Who comes from the pool itself does not wait: it does
// the call at once, and when that goes too deep, the bound is exceeded.
//
// Locks are taken in the order adding_, taking_, the mutex of sleepers_, which guards the lists and the starting of
// threads.
//
// The core is shared by the executor and its threads, so an executor that is destroyed by one of its own jobs leaves
// behind a core that lives until the last thread has left. A caller who has added a job touches the core while it holds
// adding_ only: shutdown takes that too.

#include "threading/pool_core.hpp"

#include <tercet/futures/usable_cpus.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>
#include <utility>

#include "threading/pool_worker.hpp"

namespace tercet::threading {

namespace {

constexpr std::size_t most_workers = 65'536;
constexpr std::size_t most_taken_at_once = 16;
constexpr std::size_t most_on_deques = work_deque::room + most_taken_at_once;  // of one worker

}  // namespace

thread_pool_executor::core::core(thread_pool_options options)
    : options_([&] {
          if (options.max_workers == 0) options.max_workers = std::min<std::size_t>(32, usable_cpus() + 4);
          if (options.max_workers > most_workers)
              throw std::invalid_argument(
                  fmt::format("thread_pool_executor: max_workers is {}; at most {} threads are possible",
                              options.max_workers, most_workers));
          if (options.queue_size == 0)
              throw std::invalid_argument(
                  "thread_pool_executor: queue_size is 0; at least one call must be able to wait");
          return std::move(options);
      }()),
      generation_(fork_generation()),
      takes_several_(options_.queue_size / 256 > options_.max_workers),
      all_(std::make_unique<std::unique_ptr<pool_worker>[]>(options_.max_workers)),
      sleepers_(*this, options_.max_workers) {}

thread_pool_executor::core::~core() = default;

bool thread_pool_executor::core::is_own_thread() const noexcept {
    const pool_worker* const here = pool_worker::current();
    return here && &here->owner() == this;
}

void thread_pool_executor::core::check_not_lost() const {
    if (is_lost())
        throw broken_thread_pool(
            "thread_pool_executor: its threads stayed behind in the process that forked this one; make a new pool "
            "here");
}

void thread_pool_executor::core::check_open() const {
    check_not_lost();
    if (is_broken_.load(std::memory_order_relaxed)) {
        const std::lock_guard lock(sleepers_.mutex());
        throw broken_thread_pool(broken_because_);
    }
    if (is_shut_down()) throw executor_shutdown("thread_pool_executor: submit after shutdown");
}

void thread_pool_executor::core::push(job& work, int priority) {
    work.sequence = submitted_;
    // One in 64 is timed: enough for a distribution, and the clock costs more than the rest of this.
    if (submitted_ % 64 == 0) work.submitted_ns = now_ns();
    if (priority == 0) {
        fifo_.push(work);
    } else {
        const std::lock_guard taking(taking_);
        urgent_.push_back({static_cast<std::int64_t>(submitted_) - priority * jobs_per_priority, &work});
        std::push_heap(urgent_.begin(), urgent_.end());
        urgent_pushed_.store(urgent_pushed_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
        urgent_key_.store(urgent_.front().key, std::memory_order_relaxed);
        urgent_count_.store(urgent_.size(), std::memory_order_seq_cst);
    }
    ++submitted_;
}

bool thread_pool_executor::core::enqueue(job& work, int priority, time_point give_up) {
    check_not_lost();
    pool_worker* const here = pool_worker::current();
    const bool is_inside = here && &here->owner() == this;
    if (is_inside && priority == 0) return enqueue_inside(*here, work), true;

    std::unique_lock adding(adding_);
    check_open();
    if (first_blocked_ || !has_room()) {
        if (is_inside) {
            adding.unlock();
            if (here->execute_at_once(work)) return true;
            adding.lock();
        } else if (options_.when_full == when_full::caller_runs) {
            adding.unlock();
            work.run(nullptr);
            return true;
        } else if (options_.when_full == when_full::fail) {
            throw queue_full(
                fmt::format("thread_pool_executor: {} calls are waiting, which is the limit", options_.queue_size));
        } else if (!wait_for_room(adding, give_up)) {
            return false;
        }
    }
    // Without any thread nobody would come to it, and the caller must know; later ones may fail to start.
    if (started_.load(std::memory_order_relaxed) == 0) {
        const std::lock_guard lock(sleepers_.mutex());
        start_thread();
    }
    push(work, priority);
    if (first_blocked_) call_first_blocked();
    parker* const sleeper =
        sleepers_.find_taker();  // outlives the executor, which the call may destroy once adding_ is free
    adding.unlock();
    if (sleeper) sleeper->unpark();
    return true;
}

void thread_pool_executor::core::enqueue_inside(pool_worker& self, job& work) {
    if (is_shut_down_.load(std::memory_order_relaxed) || is_broken_.load(std::memory_order_relaxed)) check_open();
    if (is_far_from_full()) {
        if (!self.deque.push(work)) {
            const std::lock_guard adding(adding_);
            push(work, 0);
        }
    } else {
        std::unique_lock adding(adding_);
        if (!has_room()) {
            adding.unlock();
            if (self.execute_at_once(work)) return;
            adding.lock();
        }
        if (!self.deque.push(work)) push(work, 0);
    }
    sleepers_.wake_taker();
}

pool_worker* thread_pool_executor::core::fork(job& work) {
    pool_worker* const here = pool_worker::current();
    if (!here || &here->owner() != this) {
        enqueue(work, 0, never);
        return nullptr;
    }
    work.is_forked = true;
    if (!here->deque.push(work)) {
        work.run(nullptr);
        return nullptr;
    }
    sleepers_.wake_taker();
    return here;
}

bool thread_pool_executor::core::offer(job& work) noexcept {
    work.is_forked = true;
    if (!pool_worker::current()->deque.push(work)) return false;
    sleepers_.wake_taker();
    return true;
}

void thread_pool_executor::core::drop_offered(job& work) noexcept {
    work_deque& own = pool_worker::current()->deque;
    job* const newest = own.pop();
    if (newest == &work) {
        work.discard();
    } else if (newest) {
        own.push(*newest);  // there is room for it, and nobody may have seen it meanwhile
        sleepers_.wake_taker();
    }
    job_left();
}

bool thread_pool_executor::core::is_far_from_full() const noexcept {
    if (options_.queue_size == thread_pool_options::unbounded) return true;
    return fifo_.size() + urgent_count_.load(std::memory_order_relaxed) +
               most_on_deques * started_.load(std::memory_order_relaxed) <
           options_.queue_size;
}

std::size_t thread_pool_executor::core::in_deques() const noexcept {
    std::size_t count = 0;
    for_each_worker([&](const pool_worker& each) { count += each.deque.size() + each.taken.size(); });
    return count;
}

bool thread_pool_executor::core::has_room() noexcept {
    if (options_.queue_size == thread_pool_options::unbounded) return true;
    const std::size_t urgent = urgent_count_.load(std::memory_order_seq_cst);
    const std::size_t elsewhere = urgent + most_on_deques * started_.load(std::memory_order_relaxed);
    if (elsewhere < options_.queue_size) {
        const std::size_t far = options_.queue_size - elsewhere;
        if (fifo_.size_up_to(far) < far) return true;
    }
    const std::lock_guard taking(taking_);  // nothing moves from the queue to a deque meanwhile
    return fifo_.size() + urgent_.size() + in_deques() < options_.queue_size;
}

bool thread_pool_executor::core::wait_for_room(std::unique_lock<quick_lock>& adding, time_point give_up) {
    helping_thread* const helper = helping_thread::current();
    if (helper) helper->check_wait(nullptr);
    parker own;
    blocked_caller me{helper ? &helper->wake_up() : &own};
    blocked_caller*& end = first_blocked_ ? last_blocked_->behind : first_blocked_;
    end = last_blocked_ = &me;
    blocked_callers_.fetch_add(1, std::memory_order_seq_cst);
    constexpr auto is_called = [](void* caller) {
        return static_cast<blocked_caller*>(caller)->is_called.load(std::memory_order_acquire);
    };
    const auto is_closed = [this] {
        return is_shut_down_.load(std::memory_order_relaxed) || is_broken_.load(std::memory_order_relaxed);
    };
    bool is_in_time = true;
    while (!is_closed() && !(first_blocked_ == &me && has_room()) && is_in_time) {
        me.is_called.store(false, std::memory_order_relaxed);
        adding.unlock();
        if (helper)
            is_in_time = helper->wait(is_called, &me, give_up);
        else
            while (!is_called(&me) && is_in_time) is_in_time = own.park(give_up);
        adding.lock();
    }
    blocked_caller* before = nullptr;
    for (blocked_caller* each = first_blocked_; each != &me; each = each->behind) before = each;
    (before ? before->behind : first_blocked_) = me.behind;
    if (last_blocked_ == &me) last_blocked_ = before;
    blocked_callers_.fetch_sub(1, std::memory_order_relaxed);
    if (is_in_time) return check_open(), true;
    call_first_blocked();
    return false;
}

void thread_pool_executor::core::admit_blocked() noexcept {
    const std::lock_guard adding(adding_);
    call_first_blocked();
}

void thread_pool_executor::core::call_first_blocked() noexcept {
    if (!first_blocked_ || first_blocked_->is_called.load(std::memory_order_relaxed) || !has_room()) return;
    first_blocked_->is_called.store(true, std::memory_order_release);
    first_blocked_->to_wake->unpark();  // it cannot go before adding_ is free
}

void thread_pool_executor::core::call_all_blocked() noexcept {
    for (blocked_caller* each = first_blocked_; each; each = each->behind) {
        each->is_called.store(true, std::memory_order_release);
        each->to_wake->unpark();
    }
}

job* thread_pool_executor::core::take_first(bool urgent_only) noexcept {
    job* first = fifo_.front();
    if (!urgent_.empty() && (!first || urgent_.front().key <= static_cast<std::int64_t>(first->sequence))) {
        first = urgent_.front().work;
        std::pop_heap(urgent_.begin(), urgent_.end());
        urgent_.pop_back();
        urgent_key_.store(urgent_.empty() ? nothing_urgent : urgent_.front().key, std::memory_order_relaxed);
        urgent_count_.store(urgent_.size(), std::memory_order_seq_cst);
        return first;
    }
    if (urgent_only) return nullptr;
    if (first) fifo_.pop();
    return first;
}

job* thread_pool_executor::core::take(pool_worker& self, bool urgent_only) noexcept {
    const bool takes_several = takes_several_ && fifo_.size() >= 4 * options_.max_workers && self.had_short_jobs();
    const std::lock_guard taking(taking_);
    std::unique_lock<quick_lock> growing;
    if (may_grow()) growing = std::unique_lock(sleepers_.mutex());
    job* const first = take_first(urgent_only);
    if (!first) return nullptr;
    self.is_busy.store(true, std::memory_order_seq_cst);
    if (takes_several && !growing && !urgent_only && self.taken.is_empty()) {
        // Others may have taken nearly all since the look above: then none.
        const auto jobs = fifo_.front(std::min(most_taken_at_once, fifo_.size() / (2 * options_.max_workers)));
        for (job* each : jobs) __builtin_prefetch(each, 1);
        self.taken.push_all(jobs);  // then they leave the queue: at no time they are nowhere
        fifo_.pop(jobs.size());
        self.note_taken(jobs.size() + 1);
    }
    return first;
}

job* thread_pool_executor::core::steal(const pool_worker& thief) noexcept {
    const std::size_t count = started_.load(std::memory_order_acquire);
    for (std::size_t i = 1; i < count; ++i)
        if (job* const stolen = all_[(thief.number() + i) % count]->steal()) return stolen;
    return nullptr;
}

bool thread_pool_executor::core::has_any_deque_jobs() const noexcept {
    const std::size_t count = started_.load(std::memory_order_acquire);
    for (std::size_t i = 0; i < count; ++i)
        if (all_[i]->has_jobs()) return true;
    return false;
}

template <class End>
void thread_pool_executor::core::empty_queue(End end) noexcept {
    std::vector<job*> kept;
    for (;;) {
        job* work = nullptr;
        {
            const std::lock_guard taking(taking_);
            work = take_first(false);
        }
        if (!work) break;
        work->is_forked ? kept.push_back(work) : end(*work);
    }
    const std::lock_guard adding(adding_);
    for (job* each : kept) push(*each, 0);
    call_first_blocked();
}

void thread_pool_executor::core::discard_queued() noexcept {
    empty_queue([](job& work) noexcept { work.discard(); });
    // What is forked while this goes on is not to be touched, so each deque is gone through once.
    for_each_worker([this](pool_worker& each) {
        for (std::size_t left = each.deque.size() + each.taken.size(); left != 0; --left) {
            job* const work = each.steal();
            if (!work) continue;
            if (!work->is_forked) {
                work->discard();
                continue;
            }
            {
                const std::lock_guard adding(adding_);
                push(*work, 0);
            }
            sleepers_.wake_taker();
        }
    });
}

void thread_pool_executor::core::fail_queued(pool_worker& self, const std::string& reason) noexcept {
    const auto fail = [&](job& work) noexcept {
        work.fail(
            exception_of([&reason] { return broken_thread_pool(reason); }));  // one each: they may be read at once
    };
    empty_queue(fail);
    while (job* const work = self.deque.pop()) fail(*work);
}

thread_pool_statistics thread_pool_executor::core::statistics() const {
    thread_pool_statistics now;
    if (is_lost()) return now;
    const std::lock_guard taking(taking_);  // nothing moves from the queue to a deque meanwhile
    const std::lock_guard lock(sleepers_.mutex());
    now.workers = running_.load(std::memory_order_relaxed);
    now.queued = fifo_.size() + urgent_count_.load(std::memory_order_relaxed);
    for_each_worker([&](const pool_worker& each) {
        now.queued += each.deque.size() + each.taken.size();
        now.running += each.is_busy.load(std::memory_order_relaxed) ? 1 : 0;
        now.done += each.done();
        each.add_waits(now.waits);
    });
    return now;
}

}  // namespace tercet::threading
