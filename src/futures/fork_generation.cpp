#include <tercet/futures/fork_generation.hpp>

#include <pthread.h>

#include <atomic>

namespace tercet {

namespace {

constinit std::atomic<std::uint64_t> generation{1};

[[maybe_unused]] const int is_counted =
    ::pthread_atfork(nullptr, nullptr, [] { generation.fetch_add(1, std::memory_order_relaxed); });

}  // namespace

std::uint64_t fork_generation() noexcept { return generation.load(std::memory_order_relaxed); }

}  // namespace tercet
