#pragma once

#include <tercet/multiprocessing/byte_buffer.hpp>
#include <tercet/multiprocessing/unique_fd.hpp>

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <string>

#include "start_service.hpp"

namespace tercet::multiprocessing {

/// The fork server of this process: another process.
class fork_server final : public start_service {
public:
    /// The one of this process; a process that the user forked has its own.
    static fork_server& instance();
    static fork_server* instance_if_any() noexcept;

    static constexpr std::size_t max_preload_bytes = std::size_t{64} << 10U;

    /// Has each server make a call first; nothing: none. Throws `invalid_state_error` while one runs.
    void set_preload(byte_buffer request);

    connection connect() override;
    ending end_of(std::uint64_t generation) override;
    void note_answer(std::uint64_t generation) noexcept override;
    void give_up(std::uint64_t generation) noexcept override;
    void terminate() noexcept override;

private:
    void start();
    bool ends_within(int milliseconds) noexcept;
    void reap() noexcept;

    std::mutex mutex_;
    pid_t pid_ = 0;  // 0: none runs
    unique_fd pidfd_;
    unique_fd control_;
    std::uint64_t token_ = 0;
    std::uint64_t generation_ = 0;
    std::uint64_t answered_generation_ = 0;
    std::uint64_t terminated_generation_ = 0;
    std::string last_end_;
    byte_buffer preload_;
};

/// A wait status in words: "SIGSEGV", "exit code 3".
std::string describe_wait_status(int status);

}  // namespace tercet::multiprocessing
