#pragma once

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>

namespace tercet::multiprocessing {

/// A named pipe through which tasks in workers tell a test where they are.
class signpost {
public:
    signpost() {
        char name[] = "/tmp/tercet-signpost-XXXXXX";
        if (!::mkdtemp(name)) throw std::runtime_error("mkdtemp");
        directory_ = name;
        path_ = directory_ + "/pipe";
        if (::mkfifo(path_.c_str(), 0600) != 0) throw std::runtime_error("mkfifo");
        fd_ = ::open(path_.c_str(), O_RDWR | O_CLOEXEC);  // both ends, so that neither side waits for the other
    }
    signpost(const signpost&) = delete;
    signpost& operator=(const signpost&) = delete;
    ~signpost() {
        ::close(fd_);
        std::error_code ignored;
        std::filesystem::remove_all(directory_, ignored);
    }

    const std::string& path() const { return path_; }

    /// The next number that a worker wrote.
    int next() const {
        int number = 0;
        if (::read(fd_, &number, sizeof number) != sizeof number) throw std::runtime_error("signpost: read");
        return number;
    }

    /// What a worker calls, or a test that lets a worker go on.
    static void write(const std::string& path, int number) {
        const int fd = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
        if (fd < 0 || ::write(fd, &number, sizeof number) != sizeof number) std::abort();
        ::close(fd);
    }

    /// What a worker calls to wait for a number.
    static int read(const std::string& path) {
        const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
        int number = 0;
        if (fd < 0 || ::read(fd, &number, sizeof number) != sizeof number) std::abort();
        ::close(fd);
        return number;
    }

private:
    std::string directory_;
    std::string path_;
    int fd_;
};

/// Watches a process, which need not be a child, without a doubt about its pid.
class process_watch {
public:
    explicit process_watch(pid_t pid) : fd_(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0))) {}
    process_watch(process_watch&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
    process_watch& operator=(process_watch&&) = delete;
    ~process_watch() {
        if (fd_ >= 0) ::close(fd_);
    }

    /// Whether it ends within that time.
    bool ends_within(int milliseconds) const {
        if (fd_ < 0) return true;
        pollfd ended{fd_, POLLIN, 0};
        return ::poll(&ended, 1, milliseconds) == 1;
    }

private:
    int fd_;
};

/// How many descriptors a process has; 0: this one.
inline std::size_t open_fds(pid_t pid = 0) {
    const std::string process = pid == 0 ? "self" : std::to_string(pid);
    std::size_t count = 0;
    for ([[maybe_unused]] const auto& each : std::filesystem::directory_iterator("/proc/" + process + "/fd")) ++count;
    return count;
}

/// Returns when a process is in that state of ps(1).
inline void wait_until_state(pid_t pid, char wanted) {
    const std::string path = "/proc/" + std::to_string(pid) + "/stat";
    for (;;) {
        const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "r"), &std::fclose);
        char state = 0;
        if (!file || std::fscanf(file.get(), "%*d (%*[^)]) %c", &state) != 1) throw std::runtime_error(path);
        if (state == wanted) return;
        std::this_thread::yield();
    }
}

/// Returns when a process waits for something, so that it has done all that it was asked for.
inline void wait_until_asleep(pid_t pid) { wait_until_state(pid, 'S'); }

/// Stops a child of this process, and returns when it stands still.
inline void stop_child(pid_t pid) {
    ::kill(pid, SIGSTOP);
    siginfo_t info{};
    if (::waitid(P_PID, static_cast<id_t>(pid), &info, WSTOPPED) != 0) throw std::runtime_error("waitid");
}

/// Sends a signal to that process if it is a worker, whoever may have got its pid meanwhile.
inline bool kill_worker(pid_t pid, int signal) {
    const int fd = static_cast<int>(::syscall(SYS_pidfd_open, pid, 0));
    if (fd < 0) return false;
    std::string name;
    std::getline(std::ifstream("/proc/" + std::to_string(pid) + "/comm"), name);
    const bool is_worker = name == "tercet-worker";
    if (is_worker) ::syscall(SYS_pidfd_send_signal, fd, signal, nullptr, 0);
    ::close(fd);
    return is_worker;
}

/// Of memory that the process has.
inline long resident_pages(pid_t pid) {
    std::ifstream statm("/proc/" + std::to_string(pid) + "/statm");
    long size = 0;
    long resident = 0;
    statm >> size >> resident;
    return resident;
}

/// How often the threads of the process went to sleep.
inline long times_asleep(pid_t pid) {
    long sum = 0;
    for (const auto& thread : std::filesystem::directory_iterator("/proc/" + std::to_string(pid) + "/task")) {
        std::ifstream status(thread.path() / "status");
        for (std::string line; std::getline(status, line);)
            if (line.starts_with("voluntary_ctxt_switches:")) sum += std::stol(line.substr(line.find(':') + 1));
    }
    return sum;
}

/// Whether a child of this process is dead and not waited for.
inline bool has_zombie() {
    siginfo_t info{};
    return ::waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid != 0;
}

/// The fork server of this process: its only child.
inline pid_t only_child() {
    for (const auto& thread : std::filesystem::directory_iterator("/proc/self/task")) {
        const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(
            std::fopen((thread.path() / "children").c_str(), "r"), &std::fclose);
        int pid = 0;
        if (file && std::fscanf(file.get(), "%d", &pid) == 1) return pid;
    }
    return 0;
}

}  // namespace tercet::multiprocessing
