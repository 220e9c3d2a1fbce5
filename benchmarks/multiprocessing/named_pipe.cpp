#include "named_pipe.hpp"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

namespace tercet::benchmarks {

namespace {

[[noreturn]] void fail(const std::string& what) { throw std::system_error(errno, std::generic_category(), what); }

int open_pipe(const std::string& path, int flags) {
    for (;;) {
        const int fd = ::open(path.c_str(), flags | O_CLOEXEC);
        if (fd >= 0) return fd;
        if (errno != EINTR) fail("open " + path);
    }
}

}  // namespace

named_pipe::named_pipe() {
    char name[] = "/tmp/tercet-benchmark-XXXXXX";
    if (!::mkdtemp(name)) fail("mkdtemp");
    directory_ = name;
    path_ = directory_ + "/pipe";
    if (::mkfifo(path_.c_str(), 0600) != 0) fail("mkfifo " + path_);
}

named_pipe::~named_pipe() {
    ::unlink(path_.c_str());
    ::rmdir(directory_.c_str());
}

// The kernel lets an end of a pipe open when somebody opens the other.
void meet(const std::string& path, bool is_first) { ::close(open_pipe(path, is_first ? O_RDONLY : O_WRONLY)); }

pid_reader::pid_reader(const std::string& path) : fd_(open_pipe(path, O_RDWR)) {}

pid_reader::~pid_reader() { ::close(fd_); }

pid_t pid_reader::next() const {
    pid_t pid = 0;
    if (::read(fd_, &pid, sizeof pid) != sizeof pid) fail("reading a pid");
    return pid;
}

void tell_pid(const std::string& path) {
    const pid_t pid = ::getpid();
    const int fd = open_pipe(path, O_WRONLY);
    if (::write(fd, &pid, sizeof pid) != sizeof pid) fail("writing a pid");
    ::close(fd);
}

}  // namespace tercet::benchmarks
