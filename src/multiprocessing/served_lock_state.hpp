#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "served_client.hpp"

namespace tercet::multiprocessing::served {

/// A lock in a manager, which its conditions share.
class lock_state : public monitor, public std::enable_shared_from_this<lock_state> {
public:
    explicit lock_state(bool is_recursive) noexcept : is_recursive_(is_recursive) {}

    bool acquire(time_point deadline);
    bool try_acquire();
    void release();

    // In the monitor.
    bool is_free() const noexcept { return owner_ == 0; }
    bool is_of(const client& caller) const noexcept { return owner_ == caller.number(); }
    std::size_t count_of(const client& caller) const noexcept { return is_of(caller) ? count_ : 0; }
    bool owner_died_before(const client& caller) const noexcept { return is_of(caller) && owner_died_; }
    /// Throws `invalid_state_error`.
    void require_owned(const client& caller, const char* call) const;
    /// Frees it altogether and returns how often it was held; `take` is the way back.
    std::size_t give_up() noexcept;
    void take(const client& caller, std::size_t count) noexcept;

    /// Frees it when that client has it, who has died. Any thread.
    void abandon(std::uint64_t client_number) noexcept;

private:
    bool take_or_wait(time_point deadline, bool may_throw);

    const bool is_recursive_;
    std::uint64_t owner_ = 0;  // 0: it is free
    std::size_t count_ = 0;
    bool owner_died_ = false;
};

}  // namespace tercet::multiprocessing::served
