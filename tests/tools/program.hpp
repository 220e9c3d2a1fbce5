#pragma once

#include <sys/types.h>

#include <chrono>
#include <string>
#include <vector>

/// Where the build put the program `name`.
std::string path_of(const std::string& name);

/// A program of the project, run as a user would: started, talked to with signals, read to its end.
class program {
public:
    /// Starts `name` of the build's bin folder, in a process group of its own.
    program(const std::string& name, std::vector<std::string> arguments, const std::string& environment = {});
    ~program();
    program(const program&) = delete;
    program& operator=(const program&) = delete;

    pid_t pid() const noexcept { return pid_; }
    void send(int signal) const noexcept;

    /// Reads standard error until `text` has come. False when it ended before.
    bool wait_for_error_text(const std::string& text);

    /// Whether the pipe of standard output has no room left, as nobody reads it.
    bool output_is_full() const;

    /// Whether it ends within that time, though nobody reads its output.
    bool ends_within(std::chrono::milliseconds limit) const;

    /// Reads the rest and waits for the end. Returns the exit status, or 128 + signal.
    int wait();

    const std::string& output() const noexcept { return output_; }
    const std::string& error_output() const noexcept { return error_output_; }

private:
    /// Reads what comes next on either pipe. False at the end of both.
    bool read_some();

    pid_t pid_ = -1;
    int output_fd_ = -1;
    int error_fd_ = -1;
    std::string output_;
    std::string error_output_;
};

/// The processes whose ancestor `pid` is, itself not counted.
std::vector<pid_t> descendants_of(pid_t pid);

/// Whether a process is there and no zombie.
bool is_alive(pid_t pid);
