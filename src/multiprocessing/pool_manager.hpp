#pragma once

#include <tercet/multiprocessing/process_pool_executor.hpp>

#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "fork_server.hpp"
#include "fork_server_protocol.hpp"
#include "task_queue.hpp"
#include "worker_channel.hpp"

namespace tercet::multiprocessing {

/// What a pool's thread lets others see. Guarded by its mutex.
struct pool_report {
    std::mutex mutex;
    std::vector<pid_t> pids;
    pool_resource_usage usage;
};

/// The pool's own thread: starts workers, gives them tasks, and finishes futures.
class pool_manager {
public:
    /// Throws `std::system_error`.
    pool_manager(const process_pool_options& options, task_queue& queue, pool_report& report);

    /// Works until the queue is closed and empty and all workers are gone.
    void run() noexcept;

private:
    using clock = std::chrono::steady_clock;
    using stage = worker_channel::stage;

    void turn();
    void wait_for_events();
    void handle_timeouts();

    void assign_tasks();
    bool give_task(worker_channel& worker);
    std::size_t start_workers();
    bool start_worker();
    void make_room_for_worker();
    bool may_start_worker() const;
    void leave();
    bool is_finished() const;

    void on_server_readable();
    void on_server_event(const server_event& event);
    void on_server_lost();
    void on_worker_writable(worker_channel& worker);
    void on_sent(worker_channel& worker);
    void on_closed(worker_channel& worker);
    void on_frame(worker_channel& worker);
    void on_answer(worker_channel& worker);
    void on_exit(worker_channel& worker, const server_event& event);

    void read_frames(worker_channel& worker);
    void condemn(worker_channel& worker, std::string verdict);
    void request_kills();
    void watch(worker_channel& worker, bool for_room);
    void fail_task(worker_channel& worker, const std::string& how, int signal, int exit_code);
    bool retry(remote_task& task);
    void end_expired();
    void note_start_failure(std::string reason);
    void break_down(const std::string& reason);
    void give_up(const std::string& reason);
    void publish_pids();
    void close_socket(unique_fd& socket) noexcept;

    const process_pool_options& options_;
    task_queue& queue_;
    pool_report& report_;
    std::size_t max_workers_;
    byte_buffer initialize_frame_;
    unique_fd epoll_;

    fork_server::connection server_;
    bool has_hello_ = false;
    bool usage_is_asked_ = false;
    bool usage_is_known_ = false;

    std::unordered_map<std::uint64_t, std::unique_ptr<worker_channel>> workers_;
    std::vector<worker_channel*> idle_;  // the one used last is taken first: its memory is warm
    std::uint64_t next_id_;
    std::size_t starting_ = 0;
    std::size_t ready_ = 0;  // idle or busy

    int start_failures_ = 0;  // running
    clock::time_point next_start_ = clock::time_point::min();
    std::string last_reason_;
    bool is_leaving_ = false;
    bool is_broken_ = false;
    bool has_lost_patience_ = false;
    clock::time_point leave_deadline_ = clock::time_point::max();
};

}  // namespace tercet::multiprocessing
