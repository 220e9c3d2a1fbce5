#pragma once

#include <tercet/asyncio/coro.hpp>
#include <tercet/asyncio/environment.hpp>
#include <tercet/asyncio/stream_reader.hpp>
#include <tercet/asyncio/stream_writer.hpp>
#include <tercet/asyncio/wait_list.hpp>

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace tercet::asyncio {

class subprocess_state;

/// Where a standard stream of a child leads: to where that of this process leads, to a pipe, nowhere, for the errors to
/// where the output goes, or to a descriptor, which stays the caller's.
class stdio {
public:
    enum kind : std::uint8_t { inherit, pipe, devnull, to_stdout, to_descriptor };

    constexpr stdio(kind what) noexcept : kind_(what) {}  // NOLINT(google-explicit-constructor)
    constexpr stdio(int descriptor) noexcept              // NOLINT(google-explicit-constructor)
        : kind_(to_descriptor), descriptor_(descriptor) {}

    constexpr kind what() const noexcept { return kind_; }
    constexpr int descriptor() const noexcept { return descriptor_; }

private:
    kind kind_;
    int descriptor_ = -1;
};

/// What becomes of a child that runs when its `subprocess` goes, or the loop ends.
enum class when_dropped : std::uint8_t {
    kill,   ///< SIGKILL, to its whole process group if it has a session of its own; and it is reaped
    leave,  ///< it goes on; it is reaped if it ends before the loop
};

/// How a child is started.
struct subprocess_options {
    stdio stdin_ = stdio::inherit;
    stdio stdout_ = stdio::inherit;
    stdio stderr_ = stdio::inherit;
    std::string cwd = {};                 ///< empty: that of this process
    std::optional<environment> env = {};  ///< all of it; none: that of this process
    bool start_new_session = false;       ///< and with it a process group
    when_dropped at_end = when_dropped::kill;
    std::size_t limit = stream_socket::default_limit;  ///< bytes, for `read_until` and `read_line` of the pipes
};

/// See `subprocess::communicate`.
struct communicate_options {
    /// Bytes, of each stream. More is a `limit_overrun_error`, and the child runs on.
    std::size_t max_output = std::size_t{64} << 20;
};

/// What a child wrote to the streams that are pipes.
struct subprocess_output {
    std::string stdout_;
    std::string stderr_;
};

/// A child process. It is watched by its pidfd: no handler of SIGCHLD, no thread, and no signal of it can hit another
/// process. The loop's thread.
///
/// By default a child lives no longer than its `subprocess`: when that is dropped, also by a coroutine that ends by a
/// cancellation, the child is killed and reaped, which the loop does without waiting.
class subprocess {
public:
    class wait_awaiter final : public wait_list::waiter {
    public:
        explicit wait_awaiter(std::shared_ptr<subprocess_state> state) noexcept : state_(std::move(state)) {}
        int await_resume() const;

    private:
        bool begin() noexcept override;
        std::shared_ptr<subprocess_state> state_;
    };

    subprocess(std::shared_ptr<subprocess_state> state, std::optional<stream_writer> stdin_,
               std::optional<stream_reader> stdout_, std::optional<stream_reader> stderr_) noexcept;
    subprocess(subprocess&&) noexcept = default;
    subprocess& operator=(subprocess&& other) noexcept;
    ~subprocess();

    /// Of the child, also when it has ended: then another process may have it.
    pid_t pid() const;
    /// The exit code, or -N when signal N ended it; empty while it runs.
    std::optional<int> returncode() const;

    /// Waits for the end of the child and returns the `returncode`. Any number of coroutines may wait. A child that
    /// writes to a pipe which nobody reads does not end: see `communicate`. Throws `cancelled_error`, and
    /// `std::system_error` when somebody else has reaped it ("wait for sort (pid 4711): No child processes"). Cancel
    /// safety: the child runs on.
    [[nodiscard]] wait_awaiter wait() const { return wait_awaiter(state_); }

    /// Writes `input` to the child and closes its standard input, reads all that it writes meanwhile, and waits for its
    /// end. A child that does not take its input is no error. Throws `limit_overrun_error`, `cancelled_error`,
    /// `std::invalid_argument` for input without a pipe, and what the streams throw. This object must stay meanwhile.
    /// Cancel safety: what was read is lost; the child runs on until it is dropped.
    [[nodiscard]] coro<subprocess_output> communicate(std::string input = {}, communicate_options options = {});

    /// Sends a signal to the child, if it runs. Throws `std::system_error` ("signal 99 to sort (pid 4711): Invalid
    /// argument").
    void send_signal(int number) const;
    /// SIGTERM: the child may end, or not. Throws as `send_signal`.
    void terminate() const;
    /// SIGKILL: it ends.
    void kill() const;

    /// Our end of the pipe to its standard input. Throws `invalid_state_error` when it has none.
    stream_writer& stdin_writer();
    /// Our end of the pipe from its standard output. Throws `invalid_state_error` when there is none.
    stream_reader& stdout_reader();
    /// The same for its standard error.
    stream_reader& stderr_reader();

private:
    std::shared_ptr<subprocess_state> state_;
    std::optional<stream_writer> stdin_;
    std::optional<stream_reader> stdout_;
    std::optional<stream_reader> stderr_;
};

/// Runs `program`, looked for in PATH unless it has a slash, with `arguments`. Returns when it runs, which takes this
/// thread a fraction of a millisecond. Nothing else is inherited: no descriptors, an empty signal mask, SIGPIPE as by
/// default. Throws `std::system_error` that names the program ("run nosuch: No such file or directory") or the
/// directory, `std::invalid_argument` for texts with a zero byte, and `invalid_state_error` outside a loop; then
/// nothing is left.
///
///     auto child = create_subprocess_exec("sort", {"-n"}, {.stdin_ = stdio::pipe, .stdout_ = stdio::pipe});
///     const auto output = co_await child.communicate("3\n1\n2\n");
subprocess create_subprocess_exec(const std::string& program, std::vector<std::string> arguments = {},
                                  const subprocess_options& options = {});

/// The same for a command line of /bin/sh. Whoever wrote its text chooses what runs: never put input into it.
subprocess create_subprocess_shell(std::string command, const subprocess_options& options = {});

}  // namespace tercet::asyncio
