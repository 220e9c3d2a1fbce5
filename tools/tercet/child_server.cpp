#include "child_server.hpp"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <stdexcept>
#include <system_error>
#include <utility>

namespace tercet::tools {

namespace {

constexpr auto start_limit = std::chrono::seconds(10);

/// A descriptor that is closed when its owner goes, or given away.
class descriptor {
public:
    explicit descriptor(int fd) noexcept : fd_(fd) {}
    descriptor(descriptor&& other) noexcept : fd_(other.release()) {}
    descriptor& operator=(descriptor&&) = delete;
    ~descriptor() {
        if (fd_ >= 0) ::close(fd_);
    }
    int get() const noexcept { return fd_; }
    int release() noexcept { return std::exchange(fd_, -1); }

private:
    int fd_;
};

struct pipe_ends {
    descriptor reading;
    descriptor writing;
};

pipe_ends make_pipe() {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) throw std::system_error(errno, std::generic_category(), "pipe");
    return {descriptor(ends[0]), descriptor(ends[1])};
}

/// Starts `program` as a server whose standard input and output are the given pipes.
pid_t spawn_server(const std::string& program, int input, int output) {
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    sigset_t none;
    sigset_t all;
    ::sigemptyset(&none);
    ::sigfillset(&all);
    ::posix_spawn_file_actions_init(&files);
    ::posix_spawn_file_actions_adddup2(&files, input, STDIN_FILENO);
    ::posix_spawn_file_actions_adddup2(&files, output, STDOUT_FILENO);
    ::posix_spawnattr_init(&attributes);
    ::posix_spawnattr_setsigmask(&attributes, &none);
    ::posix_spawnattr_setsigdefault(&attributes, &all);
    // A process group of its own: Ctrl-C is for this process to handle, and the server must answer until it is told to
    // end.
    ::posix_spawnattr_setpgroup(&attributes, 0);
    ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
    std::array<char*, 6> arguments{const_cast<char*>("tercet"),      const_cast<char*>("httpbin"),
                                   const_cast<char*>("--port"),      const_cast<char*>("0"),
                                   const_cast<char*>("--until-eof"), nullptr};
    pid_t pid = -1;
    const int error = ::posix_spawn(&pid, program.c_str(), &files, &attributes, arguments.data(), environ);
    ::posix_spawn_file_actions_destroy(&files);
    ::posix_spawnattr_destroy(&attributes);
    if (error != 0) throw std::system_error(error, std::generic_category(), "posix_spawn " + program);
    return pid;
}

/// The first line that comes out of `fd`; empty when none comes in time.
std::string read_line(int fd) {
    const auto deadline = std::chrono::steady_clock::now() + start_limit;
    std::string line;
    for (;;) {
        const auto left =
            std::chrono::duration_cast<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
        pollfd waited{.fd = fd, .events = POLLIN, .revents = 0};
        const int ready = left.count() > 0 ? ::poll(&waited, 1, static_cast<int>(left.count())) : 0;
        if (ready < 0 && errno == EINTR) continue;
        char next = 0;
        if (ready <= 0 || ::read(fd, &next, 1) != 1) return {};
        if (next == '\n') return line;
        line += next;
    }
}

}  // namespace

child_server::child_server(const std::string& program) {
    pipe_ends input = make_pipe();
    std::string greeting;
    {
        pipe_ends output = make_pipe();
        pid_ = spawn_server(program, input.reading.get(), output.writing.get());
        ::close(output.writing.release());  // so that its end is the server's
        greeting = read_line(output.reading.get());
    }
    const auto where = greeting.find("http://");
    if (where == std::string::npos) {
        kill();
        throw std::runtime_error("the embedded httpbin did not start" +
                                 (greeting.empty() ? "" : ": it said '" + greeting + "'"));
    }
    url_ = greeting.substr(where);
    lifeline_ = input.writing.release();
}

child_server::~child_server() {
    kill();
    ::close(lifeline_);
}

void child_server::kill() noexcept {
    if (pid_ < 0) return;
    ::kill(pid_, SIGKILL);
    while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
    }
    pid_ = -1;
}

}  // namespace tercet::tools
