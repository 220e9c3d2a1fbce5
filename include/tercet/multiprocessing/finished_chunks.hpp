#pragma once

#include <tercet/futures/time_limit.hpp>

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <mutex>
#include <vector>

namespace tercet::multiprocessing::detail {

/// The numbers of the chunks of an `imap_unordered` that are over, in the order in which they ended.
class finished_chunks {
public:
    /// Makes room for so many that were not taken, so that `push` needs no memory.
    void expect(std::size_t count);
    /// Any thread.
    void push(std::uint64_t number) noexcept;
    /// Waits up to `limit` for one and takes it. Throws `timeout_error`; `invalid_state_error` where blocking is
    /// banned.
    std::uint64_t pop(time_limit limit);

private:
    std::mutex mutex_;
    std::condition_variable changed_;
    std::vector<std::uint64_t> numbers_;  // a few
};

/// Throws `timeout_error` for an imap that had nothing to give within `limit`.
[[noreturn]] void throw_no_result(time_limit limit);

bool is_queue_full(const std::exception_ptr& error) noexcept;

}  // namespace tercet::multiprocessing::detail
