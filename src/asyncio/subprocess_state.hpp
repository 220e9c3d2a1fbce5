#pragma once

#include <tercet/asyncio/poller.hpp>
#include <tercet/asyncio/subprocess.hpp>
#include <tercet/asyncio/wait_list.hpp>

#include <sys/types.h>

#include <memory>
#include <optional>
#include <string>

namespace tercet::asyncio {

class event_loop;

/// A child and its pidfd, which is readable when the child has ended. It is reaped in that moment.
class subprocess_state final : public io_source {
public:
    subprocess_state(event_loop& loop, std::string program, bool is_group_leader, when_dropped at_end)
        : io_source(-1),
          loop_(&loop),
          program_(std::move(program)),
          is_group_leader_(is_group_leader),
          at_end_(at_end) {}
    ~subprocess_state();

    /// From the moment at which the child runs. Throws `std::system_error`; then the child is gone.
    void adopt(pid_t pid);

    pid_t pid() const noexcept { return pid_; }
    /// "sort (pid 4711)"
    std::string name() const;
    std::optional<int> returncode() const noexcept { return returncode_; }
    /// 0, or why it is not known how the child ended.
    int wait_error() const noexcept { return wait_error_; }
    bool has_ended() const noexcept { return has_ended_; }
    wait_list& waiters() noexcept { return waiters_; }

    void send_signal(int number) const;

    /// The handle has gone: `self`, a reference, keeps the state until the child has ended.
    void drop(std::shared_ptr<subprocess_state> self) noexcept;

    void on_ready(readiness what) noexcept override;
    void on_loop_end() noexcept override;

private:
    bool reap(bool waits) noexcept;
    void end() noexcept;
    void kill() const noexcept;

    event_loop* loop_;
    std::string program_;
    pid_t pid_ = -1;
    std::optional<int> returncode_;
    int wait_error_ = 0;
    bool has_ended_ = false;
    bool is_watched_ = false;
    bool is_group_leader_;
    when_dropped at_end_;
    wait_list waiters_;
    std::shared_ptr<subprocess_state> self_;
};

}  // namespace tercet::asyncio
