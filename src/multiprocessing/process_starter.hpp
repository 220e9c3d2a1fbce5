#pragma once

#include <tercet/multiprocessing/unique_fd.hpp>

#include <sys/resource.h>
#include <sys/types.h>
#include <unistd.h>

#include <csignal>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <unordered_map>
#include <utility>
#include <vector>

#include "fork_server_protocol.hpp"

namespace tercet::multiprocessing {

/// Starts processes for the pools of a program, which each have a socket to it, sends them signals, and tells how they
/// end. How they are started, and by whom, is what derived classes know. One thread.
class process_starter {
public:
    process_starter(const process_starter&) = delete;
    process_starter& operator=(const process_starter&) = delete;

protected:
    /// A pool of the program.
    struct client {
        double cpu_seconds_before = 0;  // what the starter had used when the pool came
        unique_fd socket;
        std::vector<server_event> events;  // not sent yet, the first one perhaps in part
        std::size_t sent_bytes = 0;
        bool is_gone = false;

        void send(const server_event& event);
        void flush();
    };
    struct child {
        std::shared_ptr<client> owner;
        std::uint64_t worker;
        unique_fd pidfd;     // none where nobody else can reap it
        bool leads_a_group;  // a worker: it, and what its calls have started
    };
    struct started {
        pid_t pid = 0;
        int error = 0;         // an errno; 0: it runs
        unique_fd pidfd = {};  // or none
    };
    struct usage {
        double cpu_seconds = 0;
        std::uint64_t peak_rss_bytes = 0;
    };

    /// `control` brings the sockets of pools, each with a byte, and is closed by who has had enough. `ends` becomes
    /// readable when children have ended. `parent`: a pidfd of the program.
    process_starter(std::uint64_t token, unique_fd control, unique_fd parent)
        : token_(token), control_(std::move(control)), parent_(std::move(parent)) {}
    ~process_starter() = default;

    /// Serves until nobody is left to serve.
    void serve();
    void kill_children();
    /// To be called before a child that has ended is reaped: unless it ended with exit code 0, kills what is left of
    /// the group that it leads.
    void kill_what_is_left(pid_t leader, const siginfo_t& ended) noexcept;
    /// In a child: closes what is the starter's, but `parent_`.
    void close_lines() noexcept;
    /// Tells all pools that this is the end, also while a copy of the process has the lines, too.
    void end_lines() noexcept;
    /// Tells the pool of the child `pid` that it has ended.
    void report_end(std::unordered_map<pid_t, child>::iterator ended, int status, const rusage& used);
    static usage usage_of(const rusage& used) noexcept;

    /// In the child it does not return.
    virtual started start_child(const server_request& request, unique_fd& socket) = 0;
    /// Finds out which children have ended.
    virtual void collect_children() = 0;
    /// What the starter itself has used.
    virtual usage own_usage() const = 0;

    const pid_t pid_ = ::getpid();
    std::uint64_t token_;
    unique_fd control_;
    unique_fd parent_;
    unique_fd ends_;
    std::unordered_map<pid_t, child> children_;

private:
    bool accept_client();
    void serve_client(const std::shared_ptr<client>& pool);
    void start(const std::shared_ptr<client>& pool, const server_request& request, unique_fd socket);
    void send_signal(const client& pool, std::uint64_t worker, int signal);
    void remove_gone_clients();

    std::vector<std::shared_ptr<client>> clients_;
    bool has_had_pools_ = false;
};

}  // namespace tercet::multiprocessing
