// FUTEX_WAKE_OP changes the word and wakes in one system call, in which a process is not killed. With a store followed
// by FUTEX_WAKE, a process that is killed in between leaves sleepers whom nobody wakes.

#include "shared_futex.hpp"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <limits>

namespace tercet::multiprocessing {

namespace {

constexpr int everyone = std::numeric_limits<int>::max();

bool operate_and_wake(std::atomic<std::uint32_t>& word, unsigned operation, std::uint32_t operand) noexcept {
    auto* const address = reinterpret_cast<std::uint32_t*>(&word);
    const auto encoded = static_cast<std::uint32_t>(FUTEX_OP(operation, operand, FUTEX_OP_CMP_EQ, 0));
    return ::syscall(SYS_futex, address, FUTEX_WAKE_OP, everyone, 0, address, encoded) >= 0;
}

}  // namespace

void add_and_wake_all(std::atomic<std::uint32_t>& word, std::uint32_t amount) noexcept {
    word.fetch_add(0, std::memory_order_release);  // what the kernel does is a full barrier, but no tool knows that
    if (operate_and_wake(word, FUTEX_OP_ADD, amount)) return;
    word.fetch_add(amount, std::memory_order_release);  // a sandbox that does not know the operation
    futex_wake(word, everyone, futex_scope::shared);
}

void store_and_wake_all(std::atomic<std::uint32_t>& word, std::uint32_t value) noexcept {
    word.fetch_add(0, std::memory_order_release);
    if (operate_and_wake(word, FUTEX_OP_SET, value)) return;
    word.store(value, std::memory_order_release);
    futex_wake(word, everyone, futex_scope::shared);
}

}  // namespace tercet::multiprocessing
