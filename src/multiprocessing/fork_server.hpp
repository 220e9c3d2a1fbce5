#pragma once

#include <tercet/multiprocessing/unique_fd.hpp>

#include <sys/types.h>

#include <cstdint>
#include <mutex>
#include <string>

namespace tercet::multiprocessing {

/// The fork server of this process, as its pools see it: one process, started when a pool first needs it, and again
/// when it has died. Thread-safe.
class fork_server {
public:
    /// The one of this process; a process that the user forked has its own.
    static fork_server& instance();

    /// A pool's line to the server.
    struct connection {
        unique_fd socket;              ///< non-blocking
        std::uint64_t token = 0;       ///< what the server's hello must say
        std::uint64_t generation = 0;  ///< which server it is
    };

    /// Connects a pool to the server, and starts that if none runs. Throws `std::system_error`.
    connection connect();

    struct ending {
        std::string text;             ///< "SIGKILL", "exit code 1", "terminate_all() was called"
        bool was_terminated = false;  ///< on purpose
    };

    /// Why the server of that generation is gone. Waits a moment for its end, since its sockets are closed before that.
    ending end_of(std::uint64_t generation);

    /// The server of that generation has answered a pool.
    void note_answer(std::uint64_t generation) noexcept;

    /// A pool has waited for that server long enough: kills it unless it has answered anybody, whom it may serve still.
    void give_up(std::uint64_t generation) noexcept;

    /// Kills the server and all workers, and waits until they are gone.
    void terminate() noexcept;

private:
    void start();
    bool ends_within(int milliseconds) noexcept;
    void reap() noexcept;

    std::mutex mutex_;
    pid_t pid_ = 0;  // 0: none runs
    unique_fd pidfd_;
    unique_fd control_;
    std::uint64_t token_ = 0;
    std::uint64_t generation_ = 0;
    std::uint64_t answered_generation_ = 0;
    std::uint64_t terminated_generation_ = 0;
    std::string last_end_;
};

/// A wait status in words: "SIGSEGV", "exit code 3".
std::string describe_wait_status(int status);

}  // namespace tercet::multiprocessing
