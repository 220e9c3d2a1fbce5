#pragma once

#include <tercet/multiprocessing/crash_report.hpp>
#include <tercet/multiprocessing/remote_task.hpp>
#include <tercet/multiprocessing/unique_fd.hpp>

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "fork_server_protocol.hpp"
#include "frame.hpp"
#include "message_ring.hpp"
#include "task_queue.hpp"
#include "worker_segment.hpp"

namespace tercet::multiprocessing {

/// A worker as its pool sees it.
struct worker_channel : std::enable_shared_from_this<worker_channel> {
    enum class stage {
        starting,   ///< was asked for; it has not said that it is ready
        idle,       ///< waits for a task
        busy,       ///< has tasks
        leaving,    ///< was told that there is no more work, or has closed its socket
        condemned,  ///< is being killed, for `verdict`
        gone,       ///< the pool has let it go
    };

    worker_channel(std::uint64_t number, unique_fd connected, worker_segment shared, std::uint64_t message_limit)
        : id(number),
          socket(std::move(connected)),
          segment(std::move(shared)),
          requests(segment.head().requests, segment.request_room()),
          answers(segment.head().answers, segment.answer_room()),
          reader(message_limit) {}

    /// Begins to send `frame` and what goes with it, which must stay until it is sent or the worker is gone.
    io_status send(std::span<const std::byte> frame, std::span<const unique_fd> descriptors) noexcept {
        outgoing = frame;
        outgoing_descriptors = descriptors;
        sent = 0;
        return send_more();
    }
    io_status send_more() noexcept { return send_bytes(socket.get(), outgoing, sent, outgoing_descriptors); }

    void forget_outgoing() noexcept {
        outgoing = {};
        outgoing_descriptors = {};
        sent = 0;
    }

    /// After a change of the rings: wakes the worker if it sleeps.
    void wake() noexcept;
    /// No more requests will come; wakes the worker.
    void close_requests() noexcept;
    /// Asks the worker for that signal with its next answer.
    void ask_for(answer_signal signal) noexcept;
    /// Wakes the thread that waits for an answer, to look at what has changed.
    void wake_waiter() noexcept;

    std::uint64_t id;
    pid_t pid = 0;  ///< 0 until it is known
    unique_fd socket;
    worker_segment segment;
    ring_writer requests;
    ring_reader answers;
    stage at = stage::starting;
    task_list tasks;             ///< those it has, in order; it can have begun the first only
    std::size_t task_count = 0;  ///< in `tasks`
    bool is_exclusive = false;   ///< the task that it has lets no other behind it
    std::string verdict;
    std::shared_ptr<const crash_report> crash;
    frame_reader reader;
    unique_fd stop_bell;                       ///< an eventfd: a call is to stop
    std::vector<unique_fd> first_descriptors;  ///< that go with the first frame
    std::span<const std::byte> outgoing;
    std::span<const unique_fd> outgoing_descriptors;
    std::size_t sent = 0;
    bool is_gone = false;                                 ///< it has ended; what it had sent is still read
    bool is_start_failure = false;                        ///< it was condemned before it was ready
    bool waits_for_room = false;                          ///< epoll watches for room to send
    int due_signal = 0;                                   ///< that the fork server has not been asked to send yet
    bool is_doomed = false;                               ///< it gets no more tasks, and is ended for `verdict`
    std::size_t given = 0;                                ///< tasks, all told
    bool has_driver = false;                              ///< a thread that waits for a result reads its answers
    bool has_pending_frame = false;                       ///< `reader` has an answer whose turn had not come
    bool is_being_read = false;                           ///< answers were taken and are not finished yet
    std::optional<server_event> exit;                     ///< it has ended while it was being read
    std::chrono::steady_clock::time_point last_answer{};  ///< or when it began to be busy
    std::chrono::steady_clock::time_point deadline = std::chrono::steady_clock::time_point::max();
};

}  // namespace tercet::multiprocessing
