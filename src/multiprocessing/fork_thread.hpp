#pragma once

#include <tercet/multiprocessing/unique_fd.hpp>

#include <cstdint>
#include <memory>
#include <mutex>

#include "start_service.hpp"

namespace tercet::multiprocessing {

/// What start_method::fork has for a fork server: a thread of this process, which forks it.
class fork_thread final : public start_service {
public:
    /// The one of this process; a process that was forked has its own.
    static fork_thread& instance();
    static fork_thread* instance_if_any() noexcept;

    connection connect() override;
    ending end_of(std::uint64_t generation) override;
    void note_answer(std::uint64_t generation) noexcept override;
    void give_up(std::uint64_t generation) noexcept override;
    void terminate() noexcept override;

private:
    struct life;  // of the thread

    void start();

    std::mutex mutex_;
    std::shared_ptr<life> life_;  // none: no thread runs
    unique_fd control_;
    std::uint64_t token_ = 0;
    std::uint64_t generation_ = 0;
    std::uint64_t terminated_generation_ = 0;
};

}  // namespace tercet::multiprocessing
