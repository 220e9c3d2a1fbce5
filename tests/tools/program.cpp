#include "program.hpp"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <stdexcept>

namespace {

struct process_entry {
    pid_t parent;
    char state;
};

std::map<pid_t, process_entry> all_processes() {
    std::map<pid_t, process_entry> processes;
    for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
        const std::string name = entry.path().filename();
        if (name.find_first_not_of("0123456789") != std::string::npos) continue;
        std::ifstream file(entry.path() / "stat");
        std::string line;
        std::getline(file, line);
        const auto end_of_name = line.rfind(')');
        if (end_of_name == std::string::npos) continue;  // it has just ended
        std::istringstream rest(line.substr(end_of_name + 1));
        process_entry process{};
        rest >> process.state >> process.parent;
        processes[std::stoi(name)] = process;
    }
    return processes;
}

}  // namespace

std::string path_of(const std::string& name) { return std::string(TERCET_PROGRAMS) + "/" + name; }

program::program(const std::string& name, std::vector<std::string> arguments, const std::string& environment) {
    std::array<int, 2> output{};
    std::array<int, 2> error{};
    if (::pipe2(output.data(), O_CLOEXEC) != 0 || ::pipe2(error.data(), O_CLOEXEC) != 0)
        throw std::runtime_error("pipe2");
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    ::posix_spawn_file_actions_init(&files);
    ::posix_spawn_file_actions_adddup2(&files, output[1], STDOUT_FILENO);
    ::posix_spawn_file_actions_adddup2(&files, error[1], STDERR_FILENO);
    ::posix_spawnattr_init(&attributes);
    ::posix_spawnattr_setpgroup(&attributes, 0);
    ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);

    const std::string path = path_of(name);
    std::vector<char*> argv{const_cast<char*>(path.c_str())};
    for (auto& each : arguments) argv.push_back(each.data());
    argv.push_back(nullptr);
    std::vector<char*> envp;
    for (char** each = environ; *each; ++each) envp.push_back(*each);
    std::string addition = environment;
    if (!addition.empty()) envp.push_back(addition.data());
    envp.push_back(nullptr);

    const int failed = ::posix_spawn(&pid_, path.c_str(), &files, &attributes, argv.data(), envp.data());
    ::posix_spawn_file_actions_destroy(&files);
    ::posix_spawnattr_destroy(&attributes);
    ::close(output[1]);
    ::close(error[1]);
    output_fd_ = output[0];
    error_fd_ = error[0];
    if (failed != 0) throw std::runtime_error("posix_spawn " + path);
}

program::~program() {
    if (pid_ > 0) {
        send(SIGKILL);
        ::waitpid(pid_, nullptr, 0);
    }
    ::close(output_fd_);
    ::close(error_fd_);
}

void program::send(int signal) const noexcept { ::kill(pid_, signal); }

bool program::read_some() {
    std::array<pollfd, 2> ends{pollfd{.fd = output_fd_, .events = POLLIN, .revents = 0},
                               pollfd{.fd = error_fd_, .events = POLLIN, .revents = 0}};
    while (::poll(ends.data(), ends.size(), -1) < 0 && errno == EINTR) {
    }
    for (std::size_t i = 0; i < 2; ++i) {
        if (!ends[i].revents) continue;
        std::array<char, 4096> buffer{};
        int& fd = i == 0 ? output_fd_ : error_fd_;
        const ssize_t count = ::read(fd, buffer.data(), buffer.size());
        if (count > 0) {
            (i == 0 ? output_ : error_output_).append(buffer.data(), static_cast<std::size_t>(count));
        } else {
            ::close(fd);
            fd = -1;
        }
    }
    return output_fd_ >= 0 || error_fd_ >= 0;
}

bool program::wait_for_error_text(const std::string& text) {
    while (error_output_.find(text) == std::string::npos)
        if (!read_some()) return false;
    return true;
}

bool program::output_is_full() const {
    int filled = 0;
    return ::ioctl(output_fd_, FIONREAD, &filled) == 0 && filled >= ::fcntl(output_fd_, F_GETPIPE_SZ);
}

bool program::ends_within(std::chrono::milliseconds limit) const {
    const int pidfd = static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0));
    pollfd ended{.fd = pidfd, .events = POLLIN, .revents = 0};
    const int count = ::poll(&ended, 1, static_cast<int>(limit.count()));
    ::close(pidfd);
    return count == 1;
}

int program::wait() {
    while (read_some()) {
    }
    int status = 0;
    while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
    }
    pid_ = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

std::vector<pid_t> descendants_of(pid_t pid) {
    const auto processes = all_processes();
    std::vector<pid_t> found{pid};
    for (std::size_t i = 0; i < found.size(); ++i)
        for (const auto& [child, process] : processes)
            if (process.parent == found[i]) found.push_back(child);
    found.erase(found.begin());
    return found;
}

bool is_alive(pid_t pid) {
    const auto processes = all_processes();
    const auto found = processes.find(pid);
    return found != processes.end() && found->second.state != 'Z';
}
