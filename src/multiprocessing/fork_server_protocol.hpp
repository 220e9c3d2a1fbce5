#pragma once

#include <cstdint>

namespace tercet::multiprocessing {

/// Where a fork server finds what it inherits.
inline constexpr int inherited_control_fd = 3;  ///< a socket to the parent: each byte brings the socket of a pool
inline constexpr int inherited_parent_fd = 4;   ///< a pidfd of the parent

enum class server_request_kind : std::uint32_t {
    start_worker,  ///< comes with the worker's end of its socket
    report_usage,
    start_process,  ///< a `process`: comes with its end of the socket over which it gets its call
    send_signal,    ///< sends `signal` to a worker or a process
    spawn_worker,   ///< as `start_worker`, by a fresh start of the program
    spawn_process,  ///< the same for `start_process`
};

/// The status of a process that somebody else has waited for.
inline constexpr std::int32_t lost_wait_status = -1;

/// From a pool to what starts its processes: the fork server, or a thread of the same program.
struct server_request {
    server_request_kind kind{};
    std::uint32_t signal = 0;
    std::uint64_t worker = 0;        ///< the pool's number for it
    std::uint32_t start_method = 0;  ///< the default one for the new process, as a number
    std::uint32_t reserved = 0;
};

enum class server_event_kind : std::uint32_t {
    hello,         ///< the server serves this pool; `token` proves that it is ours
    started,       ///< `worker` runs as `pid`
    start_failed,  ///< `status` is the errno
    exited,        ///< `status` as of wait(), or `lost_wait_status`, and what the worker has used
    usage,         ///< what the server itself has used since the pool came, and for the first pool before
};

/// From the fork server to a pool.
struct server_event {
    server_event_kind kind{};
    std::int32_t pid = 0;
    std::uint64_t worker = 0;
    std::int32_t status = 0;
    std::uint32_t reserved = 0;
    std::uint64_t token = 0;
    double cpu_seconds = 0;
    std::uint64_t peak_rss_bytes = 0;
};

}  // namespace tercet::multiprocessing
