#include <tercet/futures/fork_generation.hpp>

#include <pthread.h>

#include <atomic>

namespace tercet {

namespace {

constinit std::atomic<std::uint64_t> generation{1};

// Before the constructors of static objects: those may fork, and handlers that they register have their turn before
// ours then, as their locks are taken before ours. So it is done wherever the library has something ready for forks.
[[gnu::constructor(101)]] void count_forks() {
    ::pthread_atfork(nullptr, nullptr, [] { generation.fetch_add(1, std::memory_order_relaxed); });
}

}  // namespace

std::uint64_t fork_generation() noexcept { return generation.load(std::memory_order_relaxed); }

}  // namespace tercet
