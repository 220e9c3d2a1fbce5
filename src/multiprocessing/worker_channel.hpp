#pragma once

#include <tercet/multiprocessing/remote_task.hpp>
#include <tercet/multiprocessing/unique_fd.hpp>

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <string>

#include "frame.hpp"

namespace tercet::multiprocessing {

/// A worker as its pool sees it.
struct worker_channel {
    enum class stage {
        starting,   ///< was asked for; it has not said that it is ready
        idle,       ///< waits for a task
        busy,       ///< has `task`
        leaving,    ///< was told that there is no more work
        condemned,  ///< is being killed, for `verdict`
    };

    worker_channel(std::uint64_t number, unique_fd connected, std::uint64_t message_limit)
        : id(number), socket(std::move(connected)), reader(message_limit) {}

    /// Begins to send `frame` and what goes with it, which must stay until it is sent or the worker is gone.
    io_status send(std::span<const std::byte> frame, std::span<const unique_fd> descriptors) noexcept {
        outgoing = frame;
        outgoing_descriptors = descriptors;
        sent = 0;
        return send_more();
    }
    io_status send_more() noexcept { return send_bytes(socket.get(), outgoing, sent, outgoing_descriptors); }

    std::uint64_t id;
    pid_t pid = 0;  ///< 0 until it is known
    unique_fd socket;
    stage at = stage::starting;
    remote_task* task = nullptr;
    std::string verdict;
    frame_reader reader;
    std::span<const std::byte> outgoing;
    std::span<const unique_fd> outgoing_descriptors;
    std::size_t sent = 0;
    bool is_gone = false;           ///< it has ended; what it had sent is still read
    bool is_start_failure = false;  ///< it was condemned before it was ready
    bool waits_for_room = false;    ///< epoll watches for room to send
    bool is_kill_due = false;       ///< the fork server has not been asked yet
    std::chrono::steady_clock::time_point deadline = std::chrono::steady_clock::time_point::max();
};

}  // namespace tercet::multiprocessing
