#pragma once

#include <tercet/futures/time_limit.hpp>

#include <sys/types.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace tercet::multiprocessing {

class process_state;

/// A process as others see it: what `active_children` lists. A copy is the same process; two handles are equal when
/// they mean the same one. Any thread may use it, in the process that started that one: a fork's child gets
/// `invalid_state_error`. After `close` everything but the name throws that, too.
class process_handle {
public:
    explicit process_handle(std::shared_ptr<process_state> state) noexcept : state_(std::move(state)) {}

    /// As it was given, or made up: see `process_options`.
    std::string name() const;
    /// Nothing before it was started.
    std::optional<pid_t> pid() const;
    /// It may be waited for no longer than its parent lives: see `process`.
    bool daemon() const;
    /// It was started and has not ended.
    bool is_alive() const;
    /// How it ended: 0 when the function returned, n for `std::exit(n)`, 1 for an exception, -N for signal N; nothing
    /// before that. -SIGKILL also when the fork server was killed, for that takes its processes with it; 255 also when
    /// this program itself has waited for all its children (start_method::fork).
    std::optional<int> exitcode() const;

    /// Waits up to `limit` for its end. Returns whether it has ended. Throws `invalid_state_error` when it was not
    /// started.
    bool join(time_limit limit = {}) const;
    /// A file descriptor that becomes readable when the process ends, for `wait_ready` and event loops; not to be read
    /// from. Valid as long as a handle is there and is not closed.
    int sentinel() const;

    /// SIGTERM, SIGKILL and SIGINT. They do nothing once the process has ended, and throw `invalid_state_error` before
    /// it was started. The signal is on its way when they return; `join` waits for what it does.
    void terminate() const;
    void kill() const;
    void interrupt() const;

    /// Lets go of what is known about it. Throws `invalid_state_error` when it is alive; may be called again.
    void close() const;

    friend bool operator==(const process_handle& a, const process_handle& b) noexcept { return a.state_ == b.state_; }

protected:
    std::shared_ptr<process_state> state_;
};

/// The processes that were started from this one as a `process` and have not ended, in the order of their start.
std::vector<process_handle> active_children();

/// What a process is to itself, or to its children.
struct process_identity {
    std::string name;
    pid_t pid = 0;
    bool daemon = false;
};

/// The calling process: "MainProcess" unless it was started as a `process`.
process_identity current_process();

/// Who started this process as a `process`; nothing in the first process, and in the workers of pools. It is alive:
/// this process does not outlive it.
std::optional<process_identity> parent_process();

}  // namespace tercet::multiprocessing
