#pragma once

#include <tercet/multiprocessing/start_method.hpp>
#include <tercet/multiprocessing/unique_fd.hpp>

#include <cstdint>
#include <string>

namespace tercet::multiprocessing {

/// What starts processes for the pools of this process, as they see it. It is started when a pool first needs it, and
/// again when it has ended; each start is a generation. Thread-safe.
class start_service {
public:
    /// A pool's line to the service.
    struct connection {
        unique_fd socket;              ///< non-blocking
        std::uint64_t token = 0;       ///< what the hello of the service must say
        std::uint64_t generation = 0;  ///< which service it is
    };

    struct ending {
        std::string text;             ///< "SIGKILL", "exit code 1", "terminate_all() was called"
        bool was_terminated = false;  ///< on purpose
    };

    start_service() noexcept = default;
    start_service(const start_service&) = delete;
    start_service& operator=(const start_service&) = delete;

    /// Connects a pool to the service, and starts that if none runs. Throws `std::system_error`.
    virtual connection connect() = 0;

    /// Why that generation is gone. Waits a moment for its end, since its sockets are closed before that.
    virtual ending end_of(std::uint64_t generation) = 0;

    /// That generation has answered a pool.
    virtual void note_answer(std::uint64_t generation) noexcept = 0;

    /// A pool has waited for that generation long enough: ends it, if that is possible, unless it has answered anybody,
    /// whom it may serve still.
    virtual void give_up(std::uint64_t generation) noexcept = 0;

    /// Kills all that it has started, ends it, and waits until they are gone.
    virtual void terminate() noexcept = 0;

protected:
    ~start_service() = default;
};

/// The one of this process; a process that the user forked has its own.
start_service& start_service_for(start_method method);

}  // namespace tercet::multiprocessing
