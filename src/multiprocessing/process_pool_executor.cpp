// The executor is a face; the core behind it is shared with the pool's thread, which outlives the executor when that is
// destroyed in a callback that runs on this very thread.
//
//   not started   until the first submit: a static object of the program costs nothing, in workers neither
//   running       the thread lives
//   ended         shutdown has joined the thread
//
// A copy of this process made by fork() has no such thread, and the sockets are not its own: there, nothing of a pool
// that was started is touched, not even its mutexes, which a thread that is not there may hold.

#include <tercet/futures/fork_generation.hpp>
#include <tercet/futures/usable_cpus.hpp>
#include <tercet/multiprocessing/process_pool_executor.hpp>

#include <fmt/format.h>
#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <csignal>
#include <limits>
#include <memory>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <thread>
#include <utility>
#include <vector>

#include "block_cache.hpp"
#include "bootstrap.hpp"
#include "frame.hpp"
#include "pool_manager.hpp"
#include "task_queue.hpp"

namespace tercet::multiprocessing {

namespace {

process_pool_options checked(process_pool_options options) {
    if (options.queue_size == 0 || options.queue_bytes == 0)
        throw std::invalid_argument("process_pool_executor: a queue must have room for a call");
    if (options.max_message_bytes == 0 || options.max_message_bytes > std::numeric_limits<std::size_t>::max() / 4)
        throw std::invalid_argument("process_pool_executor: max_message_bytes is out of range");
    if (options.start_timeout.count() <= 0)
        throw std::invalid_argument("process_pool_executor: start_timeout must be more than 0");
    options.start_timeout = std::min<std::chrono::milliseconds>(options.start_timeout, std::chrono::years(1));
    if (options.max_tasks_per_child == 0 || options.worker_memory_limit == 0)
        throw std::invalid_argument("process_pool_executor: a worker must be allowed a call, and memory");
    if (options.max_workers == 0) options.max_workers = usable_cpus();
    return options;
}

}  // namespace

class process_pool_executor::core final : public call_driver, public std::enable_shared_from_this<core> {
public:
    explicit core(process_pool_options options) : options_(checked(std::move(options))), queue_(options_) {}

    void enqueue(remote_task& task) {
        require_own_process();
        start();
        if (const std::size_t size = task.request_size() - sizeof(frame_head); size > options_.max_message_bytes)
            throw std::length_error(fmt::format("process_pool_executor: arguments of {} bytes; max_message_bytes is {}",
                                                size, options_.max_message_bytes));
        task.driver = shared_from_this();
        queue_.push(task, !is_own_thread());
        manager_->on_submitted();
    }

    bool drive(remote_task& task, std::chrono::steady_clock::time_point deadline) noexcept override {
        return !is_of_another_process() && !is_own_thread() && manager_->drive(task, deadline);
    }

    int begin_taking() noexcept override { return is_of_another_process() ? -1 : manager_->begin_taking(); }
    void take_answers() noexcept override {
        if (!is_of_another_process()) manager_->take_answers();
    }
    void end_taking() noexcept override {
        if (!is_of_another_process()) manager_->end_taking();
    }

    /// Null in a copy of this process, which must not write to the memory of its parent.
    std::unique_ptr<message_block> take_block() noexcept { return is_of_another_process() ? nullptr : blocks_.take(); }

    void shutdown(shutdown_options how) {
        require_own_process();
        if (how.wait && is_own_thread())
            throw invalid_state_error("process_pool_executor: shutdown in a callback of its own future cannot wait");
        end(how);
    }

    /// As `shutdown`, as far as that is possible here.
    void end(shutdown_options how) {
        queue_.close();
        if (how.cancel_futures) {
            auto tasks = queue_.take_all();
            while (remote_task* const task = tasks.pop()) task->discard();
        }
        if (is_own_thread() || !how.wait) return;
        if (!wait_until_ended(how.timeout)) throw timeout_error(who_still_works(how.timeout));
        const std::lock_guard lock(thread_mutex_);
        if (thread_.joinable()) thread_.join();
    }

    /// Lets the thread end by itself.
    void detach() {
        const std::lock_guard lock(thread_mutex_);
        if (thread_.joinable()) thread_.detach();
    }

    bool is_of_another_process() const noexcept {
        const auto started = started_in_.load(std::memory_order_acquire);
        return started != 0 && started != fork_generation();
    }
    bool is_own_thread() const noexcept {
        return own_thread_.load(std::memory_order_acquire) == std::this_thread::get_id();
    }

    std::size_t max_workers() const noexcept { return max_workers_.load(std::memory_order_relaxed); }

    void resize(std::size_t max_workers) {
        require_own_process();
        if (max_workers == 0) throw std::invalid_argument("process_pool_executor: a pool has at least one worker");
        const std::lock_guard lock(thread_mutex_);
        max_workers_.store(max_workers, std::memory_order_relaxed);
        if (manager_) manager_->resize(max_workers);
    }

    void warm_up() {
        require_own_process();
        queue_.check_open();
        start();
        const std::lock_guard lock(thread_mutex_);
        if (manager_) manager_->warm_up();
    }

    bool cancel_running(remote_task& task) {
        return task.driver.get() == this && !is_of_another_process() && manager_->cancel_running(task);
    }

    void ask_to_stop(remote_task& task) noexcept override {
        if (!is_of_another_process()) manager_->ask_to_stop(task);
    }

    void end_workers(int signal) {
        require_own_process();
        end({.wait = false, .cancel_futures = true});
        const std::lock_guard lock(thread_mutex_);
        if (manager_) manager_->end_workers(signal);
    }

    process_pool_statistics statistics() {
        require_own_process();
        const std::lock_guard lock(thread_mutex_);
        return manager_ ? manager_->statistics() : process_pool_statistics{};
    }

    std::vector<pid_t> worker_pids() {
        require_own_process();
        const std::lock_guard lock(report_.mutex);
        return report_.pids;
    }

    pool_resource_usage resource_usage() {
        require_own_process();
        const std::lock_guard lock(report_.mutex);
        return report_.usage;
    }

private:
    void require_own_process() const {
        if (is_of_another_process())
            throw invalid_state_error(
                "process_pool_executor: this process is a copy, made by fork(), of the one that the pool belongs to: "
                "make a pool of its own");
    }

    void start() {
        if (started_in_.load(std::memory_order_acquire) != 0) return;
        const std::lock_guard lock(thread_mutex_);
        if (started_in_.load(std::memory_order_relaxed) != 0) return;
        if (queue_.is_closed()) return;  // push says why
        if (!options_.start_method) options_.start_method = get_start_method();
        require_start_possible(*options_.start_method);
        queue_.open();
        manager_.emplace(options_, max_workers(), queue_, blocks_, report_);
        sigset_t all;
        sigset_t before;
        ::sigfillset(&all);
        ::pthread_sigmask(SIG_SETMASK, &all, &before);  // handlers of the program run on the program's threads
        note_running(true);
        try {
            thread_ = std::thread([self = shared_from_this()] {
                ::pthread_setname_np(::pthread_self(), "tercet-pool");
                self->own_thread_.store(std::this_thread::get_id(), std::memory_order_release);
                self->manager_->run();
                self->note_running(false);
            });
        } catch (...) {
            note_running(false);
            ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
            throw;
        }
        ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
        started_in_.store(fork_generation(), std::memory_order_release);
    }

    void note_running(bool runs) {
        const std::lock_guard lock(end_mutex_);
        is_running_ = runs;
        if (!runs) has_ended_.notify_all();
    }
    bool wait_until_ended(time_limit limit) {
        std::unique_lock lock(end_mutex_);
        const auto ended = [this] { return !is_running_; };
        if (!limit.is_forever()) return has_ended_.wait_until(lock, limit.deadline(), ended);
        has_ended_.wait(lock, ended);
        return true;
    }
    std::string who_still_works(time_limit limit) {
        const std::lock_guard lock(report_.mutex);
        return fmt::format("process_pool_executor: shutdown has waited {} s; the workers {} are still there",
                           std::chrono::duration<double>(*limit.duration()).count(), fmt::join(report_.pids, ", "));
    }

    process_pool_options options_;  // changes no more once it is started
    std::atomic<std::size_t> max_workers_{options_.max_workers};
    task_queue queue_;
    block_cache blocks_;
    pool_report report_;
    std::optional<pool_manager> manager_;
    std::atomic<std::uint64_t> started_in_{0};  // the process generation; 0: not started
    std::atomic<std::thread::id> own_thread_{};
    std::mutex end_mutex_;
    std::condition_variable has_ended_;
    bool is_running_ = false;
    std::mutex thread_mutex_;
    std::thread thread_;
};

process_pool_executor::process_pool_executor(std::size_t max_workers)
    : process_pool_executor(process_pool_options{.max_workers = max_workers}) {}

process_pool_executor::process_pool_executor(process_pool_options options)
    : core_(std::make_shared<core>(std::move(options))) {}

process_pool_executor::~process_pool_executor() {
    if (core_->is_of_another_process()) {
        // Kept, and never destroyed: its thread, in the process it belongs to, is not ours to join.
        static auto* const kept = new std::vector<std::shared_ptr<core>>;
        kept->push_back(std::move(core_));
        return;
    }
    core_->end({.wait = true});
    core_->detach();
}

void process_pool_executor::shutdown(shutdown_options options) { core_->shutdown(options); }

void process_pool_executor::terminate_workers() { core_->end_workers(SIGTERM); }
void process_pool_executor::kill_workers() { core_->end_workers(SIGKILL); }

bool process_pool_executor::cancel_running(future_state_base& state) {
    auto* const task = dynamic_cast<remote_task*>(&state);
    return task && (state.cancel() || core_->cancel_running(*task));
}

std::size_t process_pool_executor::max_workers() const noexcept { return core_->max_workers(); }
void process_pool_executor::resize(std::size_t max_workers) { core_->resize(max_workers); }
void process_pool_executor::warm_up() { core_->warm_up(); }

process_pool_statistics process_pool_executor::statistics() const { return core_->statistics(); }

std::vector<pid_t> process_pool_executor::worker_pids() const { return core_->worker_pids(); }

pool_resource_usage process_pool_executor::resource_usage() const { return core_->resource_usage(); }

std::unique_ptr<remote_task::limits_type> process_pool_executor::make_limits(submit_options options) {
    auto limits = std::make_unique<remote_task::limits_type>();
    limits->deadline = options.deadline.deadline();
    limits->retries_left = options.retries;
    limits->options = std::move(options);
    return limits;
}

const std::size_t process_pool_executor::empty_request = sizeof(frame_head);

byte_buffer process_pool_executor::start_request() {
    byte_buffer request;
    request.resize(sizeof(frame_head));
    return request;
}

message_block* process_pool_executor::argument_blocks::block() noexcept {
    if (!block_) block_ = pool_.take_block();
    return block_.get();
}

void process_pool_executor::enqueue(remote_task& task) {
    try {
        core_->enqueue(task);
    } catch (const std::length_error&) {
        task.fail(std::current_exception());
    } catch (...) {
        task.discard();
        throw;
    }
}

}  // namespace tercet::multiprocessing
