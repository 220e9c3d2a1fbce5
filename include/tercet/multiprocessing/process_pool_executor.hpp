#pragma once

#include <tercet/futures/executor.hpp>
#include <tercet/multiprocessing/errors.hpp>
#include <tercet/multiprocessing/measured.hpp>
#include <tercet/multiprocessing/remote_call.hpp>
#include <tercet/multiprocessing/remote_chunk.hpp>
#include <tercet/multiprocessing/remote_task.hpp>
#include <tercet/multiprocessing/start_method.hpp>

#include <sys/types.h>

#include <array>
#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <limits>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>
#include <vector>

namespace tercet::multiprocessing {

/// A call that each worker of a pool makes before its first task; none by default.
class worker_initializer {
public:
    worker_initializer() noexcept = default;
    /// `fn` and `args` as for `submit`.
    template <class Fn, class... Args>
        requires(!std::same_as<std::remove_cvref_t<Fn>, worker_initializer>)
    worker_initializer(Fn&& fn, Args&&... args) {  // NOLINT(google-explicit-constructor): .initializer = fn
        encoder out;
        remote_call_of<Fn, Args...>::encode_request(out, fn, args...);
        auto descriptors = out.take_descriptors();
        request_ = std::make_shared<const request_type>(std::move(out.buffer()), std::move(descriptors));
    }

    std::span<const std::byte> request() const noexcept {
        return request_ ? request_->bytes.bytes() : std::span<const std::byte>();
    }
    std::span<const unique_fd> descriptors() const noexcept {
        return request_ ? std::span<const unique_fd>(request_->descriptors) : std::span<const unique_fd>();
    }

private:
    struct request_type {
        request_type(byte_buffer&& request, std::vector<unique_fd>&& sent_with_it) noexcept
            : bytes(std::move(request)), descriptors(std::move(sent_with_it)) {}
        byte_buffer bytes;
        std::vector<unique_fd> descriptors;
    };
    std::shared_ptr<const request_type> request_;
};

/// What `submit` does while the queue of a pool is full.
enum class when_full {
    block,  ///< waits for room
    fail,   ///< throws `queue_full`
};

/// What a pool of processes is like; `process_pool_executor` says what it does not allow.
struct process_pool_options {
    /// For `queue_size` and `queue_bytes`.
    static constexpr std::size_t unbounded = std::numeric_limits<std::size_t>::max();
    /// For `max_tasks_per_child` and `worker_memory_limit`.
    static constexpr std::size_t unlimited = unbounded;

    std::size_t max_workers = 0;          ///< 0: one for each CPU that this process may use
    std::size_t min_workers = 0;          ///< that are started with the first call, and stay however idle they are
    worker_initializer initializer = {};  ///< when it throws in three workers running, the pool is broken
    std::size_t queue_size = 4'096;       ///< how many calls may wait for a worker
    std::size_t queue_bytes =
        256U << 20U;  ///< how large the arguments of waiting calls may be; one larger call may wait
    multiprocessing::when_full when_full = when_full::block;  ///< what `submit` does then
    std::size_t max_message_bytes = std::size_t{4} << 30U;    ///< a call with larger arguments or a larger result fails
    std::chrono::milliseconds start_timeout{30'000};          ///< how long a new worker may take to be ready
    std::optional<multiprocessing::start_method> start_method = {};  ///< none: `get_start_method()` at the first call
    std::size_t max_tasks_per_child = unlimited;  ///< a worker that has made so many calls leaves and is replaced
    time_limit idle_timeout = {};                 ///< a worker that had nothing to do for so long leaves
    /// In bytes of resident anonymous memory: shared arrays, and large arguments and results on their way, do not
    /// count. A worker is looked at every 50 ms: one that has more while it makes a call is killed, and the call fails
    /// with `worker_died`, which says so; one that has more when it is idle is replaced.
    std::size_t worker_memory_limit = unlimited;
};

/// What the processes of a pool have used.
struct pool_resource_usage {
    double cpu_seconds = 0;            ///< user and system time of all of them together
    std::uint64_t peak_rss_bytes = 0;  ///< the sum of the largest resident sizes that each of them had
};

/// A moment in the life of a pool.
struct process_pool_statistics {
    static constexpr std::size_t wait_buckets = 32;

    std::size_t workers = 0;    ///< processes that are at work or ready to
    std::size_t starting = 0;   ///< processes that are not ready yet
    std::size_t queued = 0;     ///< calls that no worker has
    std::size_t running = 0;    ///< calls that workers have
    std::uint64_t done = 0;     ///< calls that were answered, with a result or an error
    std::uint64_t started = 0;  ///< workers, since the beginning
    std::uint64_t died = 0;     ///< workers that ended otherwise than by leaving
    /// How long calls waited for a worker, by a sample of one in 64: under 1 us, under 2 us, under 4 us, …
    std::array<std::uint64_t, wait_buckets> waits{};
};

/// Runs calls in processes of their own, which it starts when they are needed and keeps until it goes. Calls start in
/// the order in which they came, unless they have a priority. A process that dies costs exactly the call that it ran,
/// which fails with `worker_died`, and is replaced. Thread-safe.
///
///     process_pool_executor pool(8);
///     for (auto& thumbnail : pool.map(shrink, pictures)) ...
///
/// The workers are copies of this program whose `main` is not entered; static objects are constructed in them, before
/// the first call. Functions are sent by their place in the program, arguments and results by value: numbers, strings,
/// containers, aggregates, classes with a member `serialize(Archive&)`. What a worker prints appears on this program's
/// standard output; its standard input is empty. Workers end with this process, however it ends. Results are decoded
/// on one thread of the pool, or on a thread that waits for one of them; callbacks of futures run on the pool's thread,
/// so they should not take long. While all workers are busy with short calls, each has some more behind the one that it
/// runs: `cancel` of a future does not reach those any more, `cancel_running` does. They go back into the queue when
/// the worker dies, and to another worker when the one in front of them takes long.
class process_pool_executor : public executor_interface<process_pool_executor> {
public:
    /// Starts nothing before the first call. `max_workers` 0: one for each CPU that this process may use.
    explicit process_pool_executor(std::size_t max_workers = 0);
    /// Throws `std::invalid_argument` for a queue, a message limit, a `start_timeout`, `max_tasks_per_child` or
    /// `worker_memory_limit` of 0 or less.
    explicit process_pool_executor(process_pool_options options);
    process_pool_executor(const process_pool_executor&) = delete;
    process_pool_executor& operator=(const process_pool_executor&) = delete;
    /// Shuts down and waits for the work that was submitted. In a callback of one of its own futures it does not wait.
    ~process_pool_executor();

    /// Calls `fn(args...)` in a worker; if it takes a `std::stop_token` first, the future's `cancel` asks the running
    /// call to stop. What `fn` throws comes back with its type where that is known in both processes, else as
    /// `remote_error`. Throws `executor_shutdown`, `broken_process_pool`, `queue_full`, `invalid_state_error` in a
    /// process that the user forked, `std::system_error` when no thread can be started. Arguments that cannot be
    /// encoded fail the future.
    template <class Fn, class... Args>
        requires(!std::is_same_v<std::remove_cvref_t<Fn>, submit_options>)
    auto submit(Fn&& fn, Args&&... args) { return send(nullptr, std::forward<Fn>(fn), std::forward<Args>(args)...); }

    /// The same with a time limit, a deadline, a priority, retries or a name. A worker whose call takes longer than it
    /// may is killed and replaced; the call fails with `timeout_error` at once. A call is made again when it throws,
    /// and also when its worker dies: for calls that may begin twice. Calls of a higher priority go first, each step
    /// overtaking some 1,000 calls that came before.
    template <class Fn, class... Args>
    auto submit(submit_options options, Fn&& fn, Args&&... args) {
        return send(make_limits(std::move(options)), std::forward<Fn>(fn), std::forward<Args>(args)...);
    }

    /// The same as `submit`, with or without options, and the result comes with what the call has cost.
    template <class Fn, class... Args>
        requires(!std::is_same_v<std::remove_cvref_t<Fn>, submit_options>)
    auto submit_measured(Fn&& fn, Args&&... args) {
        return send(nullptr, detail::measured_function<std::decay_t<Fn>>{std::forward<Fn>(fn)},
                    std::chrono::steady_clock::now(), std::forward<Args>(args)...);
    }
    template <class Fn, class... Args>
    auto submit_measured(submit_options options, Fn&& fn, Args&&... args) {
        return send(make_limits(std::move(options)), detail::measured_function<std::decay_t<Fn>>{std::forward<Fn>(fn)},
                    std::chrono::steady_clock::now(), std::forward<Args>(args)...);
    }

    /// For `map`: calls `fn` with each of the items, in one message.
    template <class Fn, class... Args>
    auto submit_chunk(const Fn& fn, const std::shared_ptr<chunk_items<Args...>>& items) {
        return send(nullptr, remote_chunk<Fn, Args...>{fn}, std::as_const(*items));
    }

    /// Refuses further calls, cancels what has not started if asked to, and waits until all workers have left if asked
    /// to. May be called again. Throws `timeout_error` with the workers that are still there when `options.timeout`
    /// passes, and `invalid_state_error` when a callback of one of its own futures would have to wait for itself.
    void shutdown(shutdown_options options = {});

    /// Refuses further calls, cancels those that wait, and asks all workers to end by SIGTERM, or kills them; running
    /// calls fail with `worker_died`. Does not wait: `shutdown` does. Throws `invalid_state_error` in a process that
    /// the user forked.
    void terminate_workers();
    void kill_workers();

    /// Cancels a call, also one that runs: then its worker is killed and replaced, and the future is cancelled soon
    /// after, unless its answer was on the way. False: the call is over, or is not one of this pool. Any thread.
    template <class T>
    bool cancel_running(const future<T>& call) {
        return cancel_running(static_cast<future_state_base&>(call.typed_state()));
    }

    /// How many workers there may be.
    std::size_t max_workers() const noexcept;
    /// Changes that. When there are more already, idle ones leave at once and busy ones after their call. Throws
    /// `std::invalid_argument` for 0, and `invalid_state_error` in a process that the user forked.
    void resize(std::size_t max_workers);
    /// Starts as many workers as there may be, without waiting for them: the first calls need not. Throws as `submit`.
    void warm_up();

    /// Throws `invalid_state_error` in a process that the user forked.
    process_pool_statistics statistics() const;

    /// The processes that are working or ready to, for tests and diagnostics. Throws `invalid_state_error` in a process
    /// that the user forked, as `resource_usage` does.
    std::vector<pid_t> worker_pids() const;

    /// What the processes that have ended had used; of all of them, and of the fork server, when `shutdown` has waited
    /// for them. Pools of this process share the server: each counts what it used in the pool's time.
    pool_resource_usage resource_usage() const;

private:
    class core;

    /// Gives the arguments of a call a block, if they are large.
    class argument_blocks final : public block_source {
    public:
        explicit argument_blocks(core& pool) noexcept : pool_(pool) {}
        message_block* block() noexcept override;
        std::unique_ptr<message_block> take() noexcept { return std::move(block_); }

    private:
        core& pool_;
        std::unique_ptr<message_block> block_;
    };

    template <class Fn, class... Args>
    auto send(std::unique_ptr<remote_task::limits_type> limits, Fn&& fn, Args&&... args) {
        using call = remote_call_of<Fn, Args...>;
        using result_type = typename call::result_type;
        auto* const task = new task_of<call>;
        task->limits = std::move(limits);
        future<result_type> result{state_pointer<future_state<result_type>>(task)};
        argument_blocks blocks(*core_);
        encoder out(start_request(), &blocks);
        try {
            call::encode_request(out, fn, args...);
        } catch (...) {
            task->add_reference();
            task->fail(std::current_exception(), nullptr);
            return result;
        }
        task->request = std::move(out.buffer());
        task->descriptors = out.take_descriptors();
        task->block = blocks.take();
        task->sent_bytes = task->request_size() - empty_request;
        task->add_reference();
        enqueue(*task);
        return result;
    }

    static std::unique_ptr<remote_task::limits_type> make_limits(submit_options options);
    /// A buffer with room for the head of a frame, and how large that is.
    static byte_buffer start_request();
    static const std::size_t empty_request;
    /// Takes over a reference to `task`; on an exception the call is discarded.
    void enqueue(remote_task& task);
    bool cancel_running(future_state_base& state);

    std::shared_ptr<core> core_;
};

}  // namespace tercet::multiprocessing
