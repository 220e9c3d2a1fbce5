#pragma once

#include <tercet/futures/adaptive_spin.hpp>
#include <tercet/multiprocessing/process_pool_executor.hpp>

#include <array>
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "block_cache.hpp"
#include "fork_server_protocol.hpp"
#include "start_service.hpp"
#include "task_queue.hpp"
#include "worker_channel.hpp"

namespace tercet::multiprocessing {

/// What a pool's thread lets others see. Guarded by its mutex.
struct pool_report {
    std::mutex mutex;
    std::vector<pid_t> pids;
    pool_resource_usage usage;
};

/// The pool's workers and its thread: starts workers, gives them tasks, and finishes futures.
class pool_manager {
public:
    /// Throws `std::system_error`.
    pool_manager(const process_pool_options& options, std::size_t max_workers, task_queue& queue, block_cache& blocks,
                 pool_report& report);

    /// Works until the queue is closed and empty and all workers are gone. On a thread of its own.
    void run() noexcept;

    /// A task was put into the queue: gives what waits to workers that have time for it. Any thread.
    void on_submitted() noexcept;

    /// Reads the answers of the worker that has `task`, until the task is over or `deadline` passes, unless another
    /// thread does that. Returns whether the task is over. Any thread but the pool's.
    bool drive(remote_task& task, std::chrono::steady_clock::time_point deadline) noexcept;

    // What an event loop does that waits for calls, see answer_source. Any thread.
    int begin_taking() noexcept;
    void take_answers() noexcept;
    void end_taking() noexcept;

    // The same for the executor's functions of these names. Any thread.
    void resize(std::size_t max_workers);
    void warm_up();
    bool cancel_running(remote_task& task);
    void ask_to_stop(remote_task& task) noexcept;
    process_pool_statistics statistics();
    /// Sends the signal to all workers, and cancels what is put back into the closed queue.
    void end_workers(int signal);

private:
    using clock = std::chrono::steady_clock;
    using stage = worker_channel::stage;
    using lock_type = std::unique_lock<std::mutex>;
    using channel_pointer = std::shared_ptr<worker_channel>;

    /// Hands callbacks over to the pool's thread.
    class callback_collector final : public finish_observer {
    public:
        explicit callback_collector(pool_manager& pool) noexcept;
        bool takes_over(continuation* callbacks) noexcept override;

    private:
        pool_manager& pool_;
    };

    static constexpr std::chrono::milliseconds look_every{1};  ///< at workers that have several tasks
    static constexpr std::chrono::seconds patience{5};         ///< with workers that were told to leave
    static constexpr std::chrono::milliseconds memory_look_every{50};
    static constexpr std::chrono::seconds trim_every{1};

    // The pool's thread.
    void turn(lock_type& lock);
    void wait_for_events(lock_type& lock);
    std::size_t read_all_answers(lock_type& lock);
    void handle_timeouts();
    void end_expired();
    void finish_ended(lock_type& lock) noexcept;
    bool is_finished() const;

    // Tasks.
    void assign_tasks();
    bool give_task(worker_channel& worker, bool only_plain);
    bool send_task(worker_channel& worker, remote_task& task);
    worker_channel* idle_worker() noexcept;
    worker_channel* worker_for_more();
    void take_back_stuck();
    void take_back(worker_channel& worker);
    void note_if_idle(worker_channel& worker);
    void note_wait(remote_task& task) noexcept;
    bool retry(remote_task& task);
    void end_task(remote_task& task, std::exception_ptr failure, const char* expiry_text = nullptr) noexcept;
    /// Why a task that no worker has is over.
    static const char* reason_of_expiry(const remote_task& task) {
        return task.limits->has_begun ? "took longer than it may" : "had not begun in time";
    }
    remote_task* take_first(worker_channel& worker) noexcept;
    static bool stands_in_ring(const remote_task& task) noexcept;
    static bool is_plain(const remote_task& task) noexcept;
    static bool is_unclaimed(const worker_channel& worker, const remote_task& task) noexcept;
    static bool revoke(worker_channel& worker, remote_task& task) noexcept;
    void fail_tasks(worker_channel& worker, const std::string& how, int signal, int exit_code);
    static std::exception_ptr death_of(const worker_channel& worker, const remote_task& task, const std::string& how,
                                       int signal, int exit_code) noexcept;
    bool needs_own_thread() const noexcept;

    // How many workers there are, and for how long.
    std::size_t active() const noexcept { return starting_ + ready_; }
    std::size_t wanted_workers() const noexcept;
    void make_idle(worker_channel& worker);
    void retire(worker_channel& worker);
    void retire_idle();
    void check_memory();
    void trim_blocks();
    void doom(worker_channel& worker, int signal, std::string verdict);
    clock::time_point next_look_at_lives() const noexcept;

    // Workers.
    start_service& service() const;
    std::size_t start_workers();
    bool start_worker();
    void make_room_for_worker();
    bool may_start_worker() const;
    void leave();
    void condemn(worker_channel& worker, std::string_view verdict) noexcept;
    void send_due_signals();
    void watch(worker_channel& worker, bool for_room) noexcept;
    void note_start_failure(std::string reason);
    void break_down(std::string reason) noexcept;
    void give_up(const std::string& reason) noexcept;
    void publish_pids() noexcept;
    void wait_for_readers(worker_channel& worker, lock_type& lock) noexcept;
    void close_socket(unique_fd& socket) noexcept;

    void on_server_readable(lock_type& lock);
    void on_server_event(const server_event& event, lock_type& lock);
    void on_server_lost(lock_type& lock);
    void on_worker_writable(worker_channel& worker);
    void on_sent(worker_channel& worker);
    void on_closed(worker_channel& worker);
    bool on_frame(const channel_pointer& worker, lock_type& lock);
    bool on_frame_answer(const channel_pointer& worker, lock_type& lock);
    struct last_words {
        std::string text;
        std::shared_ptr<const crash_report> crash;
    };
    last_words last_words_of(const worker_channel& worker, int signal);
    void on_exit(const channel_pointer& worker, const server_event& event, lock_type& lock);

    // Answers.
    struct answer {
        remote_task* task;
        bool is_error;
        std::span<const std::byte> payload;
    };
    void finish(const answer& given, std::span<unique_fd> descriptors, finish_observer* observer) noexcept;
    bool has_readable_answer(worker_channel& worker) noexcept;
    std::size_t read_answers(const channel_pointer& worker, lock_type& lock,
                             finish_observer* observer = nullptr) noexcept;
    void read_for_room(lock_type& lock);
    bool has_attentive_loop() const noexcept { return has_loop_ && !is_loop_late_; }
    /// How a worker is to tell of its next answer, when no thread drives it.
    answer_signal quiet_signal() const noexcept {
        return has_attentive_loop() ? answer_signal::ring_loop_bell : answer_signal::ring_bell;
    }
    bool ask_for_signals() noexcept;
    void wake_reader() noexcept;
    void set_loop_timer(std::chrono::nanoseconds after) noexcept;
    void look_soon_after_loop() noexcept;
    void on_loop_timer() noexcept;
    void note_late_loop() noexcept;
    static bool is_given_up(const worker_channel& worker) noexcept {
        return worker.at == stage::condemned || worker.at == stage::gone;
    }
    void begin_reading(worker_channel& worker) noexcept;
    void end_reading(worker_channel& worker) noexcept;
    void after_answers(worker_channel& worker, std::uint64_t nanoseconds, std::size_t count);
    void read_frames(const channel_pointer& worker, lock_type& lock);

    const process_pool_options& options_;
    task_queue& queue_;
    block_cache& blocks_;
    pool_report& report_;
    byte_buffer initialize_frame_;
    unique_fd epoll_;
    unique_fd bell_;                          ///< an eventfd, which workers write to
    unique_fd loop_bell_;                     ///< the same, while an event loop takes the answers
    unique_fd loop_timer_;                    ///< a timerfd: look whether that loop does
    std::optional<std::uint64_t> oom_kills_;  ///< so far; the pool's thread's own

    std::mutex mutex_;  // guards all that follows
    std::size_t max_workers_;
    bool is_warming_up_ = false;
    bool is_ended_by_user_ = false;
    clock::time_point next_memory_look_ = clock::time_point::min();
    clock::time_point next_trim_ = clock::time_point::min();
    std::uint64_t answered_ = 0;
    std::uint64_t started_ = 0;
    std::uint64_t died_ = 0;
    std::array<std::uint64_t, process_pool_statistics::wait_buckets> waits_{};

    start_service::connection server_;
    bool has_hello_ = false;
    bool usage_is_asked_ = false;
    bool usage_is_known_ = false;

    std::unordered_map<std::uint64_t, channel_pointer> workers_;
    std::vector<worker_channel*> idle_;  // the one used last is taken first: its memory is warm
    std::vector<channel_pointer> looked_at_;
    worker_channel* filling_ = nullptr;  // who has tasks, and gets more
    std::uint64_t next_id_;
    std::size_t starting_ = 0;
    std::size_t ready_ = 0;  // idle or busy

    task_list ended_;                          // to be finished by the pool's thread
    continuation* ended_callbacks_ = nullptr;  // the same
    continuation* last_ended_callback_ = nullptr;
    bool has_loop_ = false;      // an event loop takes the answers
    bool is_loop_late_ = false;  // but does something else
    bool is_look_after_loop_due_ = false;
    std::chrono::nanoseconds look_after_loop_in_{0};  // 0: the timer is not set
    std::uint64_t answered_at_look_ = 0;
    std::vector<channel_pointer> seen_by_loop_;  // the loop's own
    bool is_over_ = false;
    std::size_t readers_ = 0;                                    // threads that finish what they have read
    double typical_ns_ = 1e9;                                    // how long calls take
    clock::time_point sleeps_until_ = clock::time_point::min();  // the pool's thread
    clock::time_point wanted_look_ = clock::time_point::max();   // when it is wanted, since it went to sleep
    bool is_streaming_ = false;  // many answers come: look now and then, instead of being woken by each
    adaptive_spin spin_;

    int start_failures_ = 0;  // running
    clock::time_point next_start_ = clock::time_point::min();
    std::string last_reason_;
    bool is_leaving_ = false;
    bool is_broken_ = false;
    bool has_lost_patience_ = false;
    clock::time_point leave_deadline_ = clock::time_point::max();
};

}  // namespace tercet::multiprocessing
