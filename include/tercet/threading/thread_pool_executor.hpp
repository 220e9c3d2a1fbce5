#pragma once

#include <tercet/futures/executor.hpp>
#include <tercet/futures/job.hpp>
#include <tercet/futures/limited_call.hpp>
#include <tercet/threading/forked.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace tercet::threading {

/// The initializer of a pool failed, so none of its threads can work.
class broken_thread_pool : public broken_executor {
public:
    using broken_executor::broken_executor;
};

/// What `submit` does while the queue of an executor is full.
enum class when_full {
    block,        ///< waits for room
    fail,         ///< throws `queue_full`
    caller_runs,  ///< runs the call on the calling thread
};

/// What a `thread_pool_executor` is made with; it keeps a copy.
struct thread_pool_options {
    /// For `queue_size`: memory is the bound.
    static constexpr std::size_t unbounded = std::numeric_limits<std::size_t>::max();

    std::size_t max_workers = 0;                ///< 0: four more than there are usable CPUs, at most 32
    std::string thread_name_prefix = "tercet";  ///< threads are called prefix-0, prefix-1, … (15 characters are kept)
    std::function<void()> initializer = {};     ///< runs first on each thread; when it throws, the pool is broken
    std::size_t queue_size = 65'536;            ///< how many calls may wait for a thread; at least 1
    threading::when_full when_full = when_full::block;
    std::vector<int> cpus = {};  ///< when not empty: thread i runs on cpus[i % size] only
};

/// What a pool was doing at one moment, more or less: its threads go on while it is read.
struct thread_pool_statistics {
    static constexpr std::size_t wait_buckets = 32;

    std::size_t workers = 0;  ///< threads that are there
    std::size_t queued = 0;   ///< calls that have not started
    std::size_t running = 0;  ///< threads that are at work
    std::uint64_t done = 0;   ///< calls that are over
    /// How long calls from outside waited, by a sample of one in 64: under 1 us, under 2 us, under 4 us, …
    std::array<std::uint64_t, wait_buckets> waits{};
};

/// Runs calls on threads that it starts when they are needed and keeps until it goes. Calls from outside start in the
/// order in which they came; those that a call submits to its own pool start newest first, or are stolen, oldest first,
/// by threads that have nothing else.
///
/// A call that waits for a future hands its thread over meanwhile, to the calls that it has submitted itself; other
/// calls run on top of its stack only when all threads are there and none is idle. So nested submitting and waiting
/// never stops for want of threads, some thousand calls deep; what goes deeper gets `invalid_state_error`. But a call
/// must not wait while it holds a lock that another call takes; and on a pool whose threads all wait, a call that waits
/// for one which lies below it on the stack of its thread gets `invalid_state_error`, too.
///
/// Its threads are listed by `enumerate`. At the end of the process a pool that is still there takes no more calls, and
/// the end waits for its work. In the child of a fork it has no threads: `submit` throws, and what was pending there is
/// never done.
///
/// Thread-safe. All memory is shared with the callers: arguments and results move, nothing is encoded.
///
///     thread_pool_executor pool(8);
///     for (auto& page : pool.map(download, urls)) ...
class thread_pool_executor : public executor_interface<thread_pool_executor> {
public:
    /// Throw `std::invalid_argument` when there are to be more than 65,536 threads, or no call may wait.
    explicit thread_pool_executor(std::size_t max_workers = 0);
    explicit thread_pool_executor(thread_pool_options options);
    thread_pool_executor(const thread_pool_executor&) = delete;
    thread_pool_executor& operator=(const thread_pool_executor&) = delete;
    /// Shuts down and waits for the work that was submitted. On one of its own threads it does not wait: they leave
    /// when the work is done. On a thread of another pool it does other calls of that one meanwhile.
    ~thread_pool_executor();

    /// Calls `fn(args...)` on a thread of the pool; a `std::stop_token` in front of the arguments is given by the pool.
    /// Throws `executor_shutdown`, `broken_thread_pool`, `queue_full`, `std::system_error` when no thread can be
    /// started. While the queue is full a thread of the pool itself runs the call at once, whatever `when_full` says,
    /// and where such calls submit others, 16 deep, exceeds the bound. A thread of another pool that waits for room
    /// does other calls of that one meanwhile.
    template <class Fn, class... Args>
        requires(!std::is_same_v<std::remove_cvref_t<Fn>, submit_options>)
    auto submit(Fn&& fn, Args&&... args) {
        auto [work, result] = make_call(std::forward<Fn>(fn), std::forward<Args>(args)...);
        enqueue(*work);
        return std::move(result);
    }

    /// The same with a time limit, a deadline, a priority, retries or a name. The deadline bounds the wait for room,
    /// too: the future that is returned then has failed with `timeout_error`. Throws `std::invalid_argument` too, when
    /// there are to be retries and the arguments cannot be copied.
    template <class Fn, class... Args>
    auto submit(submit_options options, Fn&& fn, Args&&... args) {
        using packed = limited_call<std::decay_t<Fn>, std::decay_t<Args>...>;
        using state = future_state<call_result_t<Fn, Args...>>;
        const int priority = options.priority;
        const auto give_up = options.deadline.deadline();
        auto* const work = new packed(watch(), std::move(options), std::forward<Fn>(fn), std::forward<Args>(args)...);
        future<call_result_t<Fn, Args...>> result{state_pointer<state>(work)};
        try {
            work->watch_deadline();
        } catch (...) {
            work->discard();
            throw;
        }
        try {
            if (!enqueue(*work, priority, give_up)) {
                work->expire();
                work->discard();
            }
        } catch (...) {
            result.state().mark_read();  // its deadline may have passed meanwhile: the caller gets one error only
            throw;
        }
        return result;
    }

    /// Calls `fn(args...)` on a thread of the pool, without a future: what it throws goes to the hook for errors that
    /// nobody reads. Where `fn` takes a `std::stop_token` first it gets one, which nobody can trigger. Throws as
    /// `submit` does.
    template <class Fn, class... Args>
    void post(Fn&& fn, Args&&... args) {
        enqueue(*new posted_call<std::decay_t<Fn>, std::decay_t<Args>...>(std::forward<Fn>(fn),
                                                                          std::forward<Args>(args)...));
    }

    /// Fork-join: lets another thread of the pool call `fn()`, if one has time before `join` is called. Cheap enough to
    /// be done at every step of a recursion, from a call of the pool:
    ///
    ///     long fib(thread_pool_executor& pool, int n) {
    ///         if (n < 2) return n;
    ///         auto left = pool.fork([&] { return fib(pool, n - 1); });
    ///         const long right = fib(pool, n - 2);
    ///         return left.join() + right;
    ///     }
    ///
    /// Where `fn` takes a `std::stop_token` it gets one: see `forked::request_stop`. At once when 256 calls of this
    /// thread wait already. From outside the pool it throws as `submit` does.
    template <class Fn>
    forked<std::decay_t<Fn>> fork(Fn&& fn) {
        return forked<std::decay_t<Fn>>(*this, std::forward<Fn>(fn));
    }

    /// Refuses further calls, cancels what has not started if asked to, and waits until all threads have left if asked
    /// to. What runs goes on, and may fork. The limit does not cover the destructors of thread-local objects. May be
    /// called again. Throws `timeout_error` with the names of the threads that still work when
    /// `options.timeout` passes, and `invalid_state_error` when one of its own threads would have to wait for itself.
    void shutdown(shutdown_options options = {});

    /// How many threads there may be.
    std::size_t max_workers() const noexcept;
    /// How many threads there are now.
    std::size_t workers() const;
    /// What it does now and has done. In the child of a fork all is zero.
    thread_pool_statistics statistics() const;

    /// Whether the calling thread is one of this pool.
    bool is_own_thread() const noexcept;

private:
    class core;
    friend class pool_worker;
    friend class fork_point;
    friend class parallel_team;

    /// Takes over `work`; on an exception the call is discarded. False: the queue was full until `give_up`, and the
    /// call is the caller's again.
    bool enqueue(job& work, int priority = 0,
                 time_limit::clock::time_point give_up = time_limit::clock::time_point::max());
    deadline_watch& watch();

    // For parallel_team.

    /// Throws as `submit` does when the pool takes no more calls.
    void check_open() const;
    /// Whether a thread is free, or may be started.
    bool has_time() const noexcept;
    /// Has `fn` called by a thread that has time now or, from a thread of the pool, until it is taken back; `result` is
    /// done after that. Returns the job; null: none has.
    template <class Fn>
    job* offer(Fn fn, future<void>& result) noexcept {
        if (!is_own_thread() && !has_time()) return nullptr;
        try {
            auto [work, made] = make_call(std::move(fn));
            made.state().mark_read();
            if (offer_job(*work)) {
                result = std::move(made);
                return work;
            }
            work->discard();
        } catch (...) {  // no room, no memory, no thread, or shut down meanwhile
        }
        return nullptr;
    }
    bool offer_job(job& work);
    /// From a thread of the pool: drops what it has offered, and has cancelled, where that is not in the way of other
    /// calls.
    void drop_offered(job& work) noexcept;

    // For fork_point.

    /// Offers `work` to the threads of the pool. Where it can be taken back; null: not here.
    pool_worker* fork_job(job& work);
    /// On the thread of `home`. True: `work` is the caller's again. False: another thread has it.
    static bool take_back(pool_worker& home, job& work) noexcept;

    std::shared_ptr<core> core_;
};

}  // namespace tercet::threading
