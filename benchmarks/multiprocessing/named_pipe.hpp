#pragma once

#include <sys/types.h>

#include <string>

namespace tercet::benchmarks {

/// A pipe with a name, by which calls in workers find each other and this process, whatever the pool.
class named_pipe {
public:
    named_pipe();
    named_pipe(const named_pipe&) = delete;
    named_pipe& operator=(const named_pipe&) = delete;
    ~named_pipe();

    const std::string& path() const { return path_; }

private:
    std::string directory_;
    std::string path_;
};

/// Of two processes that call it, one as the first, both return when both are here.
void meet(const std::string& path, bool is_first);

/// Reads the numbers of processes that `tell_pid` writes.
class pid_reader {
public:
    explicit pid_reader(const std::string& path);
    pid_reader(const pid_reader&) = delete;
    pid_reader& operator=(const pid_reader&) = delete;
    ~pid_reader();

    pid_t next() const;

private:
    int fd_;
};

void tell_pid(const std::string& path);

}  // namespace tercet::benchmarks
