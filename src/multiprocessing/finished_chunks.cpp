#include <tercet/futures/blocking_ban.hpp>
#include <tercet/futures/errors.hpp>
#include <tercet/multiprocessing/finished_chunks.hpp>

#include <fmt/format.h>

#include <chrono>

namespace tercet::multiprocessing::detail {

void finished_chunks::expect(std::size_t count) {
    const std::lock_guard lock(mutex_);
    numbers_.reserve(count);
}

void finished_chunks::push(std::uint64_t number) noexcept {
    const std::lock_guard lock(mutex_);
    numbers_.push_back(number);
    changed_.notify_one();
}

std::uint64_t finished_chunks::pop(time_limit limit) {
    const auto deadline = limit.deadline();
    std::unique_lock lock(mutex_);
    if (numbers_.empty()) {
        if (limit.duration() == std::chrono::nanoseconds::zero()) throw_no_result(limit);
        blocking_ban::check("pool: imap_unordered: waiting for a result");
    }
    const auto has_one = [this] { return !numbers_.empty(); };
    if (limit.is_forever())
        changed_.wait(lock, has_one);
    else if (!changed_.wait_until(lock, deadline, has_one))
        throw_no_result(limit);
    const std::uint64_t number = numbers_.front();
    numbers_.erase(numbers_.begin());
    return number;
}

void throw_no_result(time_limit limit) {
    throw timeout_error(
        fmt::format("pool: imap: no result within {} s",
                    std::chrono::duration<double>(limit.duration().value_or(std::chrono::nanoseconds())).count()));
}

bool is_queue_full(const std::exception_ptr& error) noexcept {
    try {
        std::rethrow_exception(error);
    } catch (const queue_full&) {
        return true;
    } catch (...) {
        return false;
    }
}

}  // namespace tercet::multiprocessing::detail
