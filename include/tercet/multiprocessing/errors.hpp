#pragma once

#include <tercet/futures/errors.hpp>
#include <tercet/multiprocessing/crash_report.hpp>

#include <memory>
#include <stdexcept>
#include <string>
#include <utility>

namespace tercet::multiprocessing {

/// The process that ran a call died; only this call failed.
class worker_died : public std::runtime_error {
public:
    /// One of `signal` and `exit_code` says how: `signal` is 0 when the process exited. Both are 0 when it called
    /// `_exit(0)`, and `exit_code` is -1 when its exit status was lost: with the fork server, or to
    /// the program's own wait for all children (start_method::fork).
    worker_died(const std::string& message, int pid, int signal, int exit_code,
                std::shared_ptr<const crash_report> crash = nullptr)
        : std::runtime_error(message), pid_(pid), signal_(signal), exit_code_(exit_code), crash_(std::move(crash)) {}

    int pid() const noexcept { return pid_; }
    int signal() const noexcept { return signal_; }
    int exit_code() const noexcept { return exit_code_; }
    /// What it wrote about its crash: where, of what, and its stack. Null when it wrote nothing: it was killed, it
    /// exited, or the program handles the signal itself.
    const crash_report* crash() const noexcept { return crash_.get(); }

private:
    int pid_;
    int signal_;
    int exit_code_;
    std::shared_ptr<const crash_report> crash_;
};

/// A pool has no worker and can start none; all its calls fail with this.
class broken_process_pool : public broken_executor {
public:
    using broken_executor::broken_executor;
};

/// What a call threw in another process, when its type cannot be rebuilt here. `what()` is the original's.
class remote_error : public std::runtime_error {
public:
    remote_error(std::string type_name, const std::string& message)
        : std::runtime_error(message), type_name_(std::move(type_name)) {}

    /// The name of the original's type, as in a program text: `billing::rejected`.
    const std::string& type_name() const noexcept { return type_name_; }

private:
    std::string type_name_;
};

/// Bytes from another process do not make the expected value.
class decode_error : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

/// The other end of a connection is closed, and all that it sent was received.
class eof_error : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

/// Two ends of a new connection do not have the same key.
class authentication_error : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

/// A manager has ended, and the objects that it had are gone.
class manager_died : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

/// No process can be started from this one, or the fork server has not started it.
class process_start_error : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

}  // namespace tercet::multiprocessing
