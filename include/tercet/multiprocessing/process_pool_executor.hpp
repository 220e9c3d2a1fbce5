#pragma once

#include <tercet/futures/executor.hpp>
#include <tercet/multiprocessing/errors.hpp>
#include <tercet/multiprocessing/remote_call.hpp>
#include <tercet/multiprocessing/remote_chunk.hpp>
#include <tercet/multiprocessing/remote_task.hpp>
#include <tercet/multiprocessing/start_method.hpp>

#include <sys/types.h>

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

struct process_pool_options {
    static constexpr std::size_t unbounded = std::numeric_limits<std::size_t>::max();

    std::size_t max_workers = 0;          ///< 0: one for each CPU that this process may use
    worker_initializer initializer = {};  ///< when it throws in three workers running, the pool is broken
    std::size_t queue_size = 4'096;       ///< how many calls may wait for a worker
    std::size_t queue_bytes =
        256U << 20U;  ///< how large the arguments of waiting calls may be; one larger call may wait
    multiprocessing::when_full when_full = when_full::block;
    std::size_t max_message_bytes = std::size_t{4} << 30U;  ///< a call with larger arguments or a larger result fails
    std::chrono::milliseconds start_timeout{30'000};        ///< how long a new worker may take to be ready
    std::optional<multiprocessing::start_method> start_method = {};  ///< none: `get_start_method()` at the first call
};

/// What the processes of a pool have used.
struct pool_resource_usage {
    double cpu_seconds = 0;            ///< user and system time of all of them together
    std::uint64_t peak_rss_bytes = 0;  ///< the sum of the largest resident sizes that each of them had
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
/// runs: those cannot be cancelled any more, but they go back into the queue when the worker dies, and to another
/// worker when the one in front of them takes long.
class process_pool_executor : public executor_interface<process_pool_executor> {
public:
    explicit process_pool_executor(std::size_t max_workers = 0);
    /// Throws `std::invalid_argument` for a queue, a message limit or a `start_timeout` of 0 or less.
    explicit process_pool_executor(process_pool_options options);
    process_pool_executor(const process_pool_executor&) = delete;
    process_pool_executor& operator=(const process_pool_executor&) = delete;
    /// Shuts down and waits for the work that was submitted. In a callback of one of its own futures it does not wait.
    ~process_pool_executor();

    /// Calls `fn(args...)` in a worker. What `fn` throws comes back with its type where that is known in both
    /// processes, else as `remote_error`. Throws `executor_shutdown`, `broken_process_pool`, `queue_full`,
    /// `invalid_state_error` in a process that the user forked, `std::system_error` when no thread can be started.
    /// Arguments that cannot be encoded fail the future.
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

    /// For `map`: calls `fn` with each of the items, in one message.
    template <class Fn, class... Args>
    auto submit_chunk(const Fn& fn, const std::shared_ptr<chunk_items<Args...>>& items) {
        return send(nullptr, remote_chunk<Fn, Args...>{fn}, std::as_const(*items));
    }

    /// Refuses further calls, cancels what has not started if asked to, and waits until all workers have left if asked
    /// to. May be called again. Throws `timeout_error` with the workers that are still there when `options.timeout`
    /// passes, and `invalid_state_error` when a callback of one of its own futures would have to wait for itself.
    void shutdown(shutdown_options options = {});

    std::size_t max_workers() const noexcept;

    /// The processes that are working or ready to, for tests and diagnostics. Throws `invalid_state_error` in a process
    /// that the user forked, as `resource_usage` does.
    std::vector<pid_t> worker_pids() const;

    /// What the processes that have ended had used; of all of them, and of the fork server, when `shutdown` has waited
    /// for them. Pools of this process share the server: each counts what it used in the pool's time.
    pool_resource_usage resource_usage() const;

private:
    class core;

    template <class Fn, class... Args>
    auto send(std::unique_ptr<remote_task::limits_type> limits, Fn&& fn, Args&&... args) {
        using call = remote_call_of<Fn, Args...>;
        using result_type = typename call::result_type;
        auto* const task = new task_of<call>;
        task->limits = std::move(limits);
        future<result_type> result{state_pointer<future_state<result_type>>(task)};
        encoder out(start_request());
        try {
            call::encode_request(out, fn, args...);
        } catch (...) {
            task->add_reference();
            task->fail(std::current_exception(), nullptr);
            return result;
        }
        task->request = std::move(out.buffer());
        task->descriptors = out.take_descriptors();
        task->add_reference();
        enqueue(*task);
        return result;
    }

    static std::unique_ptr<remote_task::limits_type> make_limits(submit_options options);
    /// A buffer with room for the head of a frame.
    static byte_buffer start_request();
    /// Takes over a reference to `task`; on an exception the call is discarded.
    void enqueue(remote_task& task);

    std::shared_ptr<core> core_;
};

}  // namespace tercet::multiprocessing
