#include "python_pool.hpp"

#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <sstream>
#include <stdexcept>
#include <string>
#include <system_error>
#include <vector>

#include "processes.hpp"

namespace tercet::benchmarks {

namespace {

constexpr auto patience = std::chrono::seconds(100);

/// A run of pools.py, in a process group of its own: nothing of it is left at the end, whatever it did.
class python_script {
public:
    python_script(const char* pool, std::string_view row) {
        int ends[2];
        if (::pipe(ends) != 0) throw std::system_error(errno, std::generic_category(), "pipe");
        posix_spawnattr_t attributes;
        ::posix_spawnattr_init(&attributes);
        ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
        posix_spawn_file_actions_t actions;
        ::posix_spawn_file_actions_init(&actions);
        ::posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
        ::posix_spawn_file_actions_addclose(&actions, ends[0]);
        ::posix_spawn_file_actions_addclose(&actions, ends[1]);
        std::string words[] = {TERCET_PYTHON3, "-B", TERCET_POOLS_SCRIPT, pool, std::string(row)};
        char* arguments[] = {words[0].data(), words[1].data(), words[2].data(),
                             words[3].data(), words[4].data(), nullptr};
        const int error = ::posix_spawn(&pid_, TERCET_PYTHON3, &actions, &attributes, arguments, ::environ);
        ::posix_spawn_file_actions_destroy(&actions);
        ::posix_spawnattr_destroy(&attributes);
        ::close(ends[1]);
        output_ = ends[0];
        if (error != 0) {
            ::close(output_);
            throw std::system_error(error, std::generic_category(), "starting " TERCET_PYTHON3);
        }
    }
    python_script(const python_script&) = delete;
    python_script& operator=(const python_script&) = delete;
    ~python_script() {
        ::kill(-pid_, SIGKILL);
        ::waitpid(pid_, nullptr, 0);
        ::close(output_);
    }

    pid_t pid() const { return pid_; }

    /// The workers may have the other end of the pipe, so an end of file need not come.
    std::vector<double> read_numbers() {
        const auto until = clock::now() + patience;
        std::string line;
        for (char next = 0; next != '\n'; line += next) {
            const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - clock::now());
            pollfd ready{output_, POLLIN, 0};
            if (left.count() <= 0 || ::poll(&ready, 1, static_cast<int>(left.count())) != 1)
                throw std::runtime_error("pools.py does not answer");
            if (::read(output_, &next, 1) != 1) throw std::runtime_error("pools.py failed");
        }
        std::istringstream words(line);
        std::vector<double> numbers;
        for (double each = 0; words >> each;) numbers.push_back(each);
        if (numbers.empty()) throw std::runtime_error("pools.py failed");
        return numbers;
    }

private:
    pid_t pid_ = 0;
    int output_ = -1;
};

}  // namespace

double figure_of_python(const char* pool, std::string_view row) {
    python_script script(pool, row);
    const auto numbers = script.read_numbers();
    if (row == "idle") return idle_cpu(family_of(script.pid()), 5);
    if (row == "idle_memory") {
        std::vector<pid_t> workers;
        for (const double pid : numbers) workers.push_back(static_cast<pid_t>(pid));
        return private_memory(workers);
    }
    return numbers[0];
}

}  // namespace tercet::benchmarks
