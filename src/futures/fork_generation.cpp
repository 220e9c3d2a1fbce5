#include <tercet/futures/fork_generation.hpp>

#include <pthread.h>

namespace tercet {

constinit std::atomic<std::uint64_t> detail::forks_before{1};

namespace {

// How the library gets ready for forks, here and elsewhere. Handlers are registered before static objects are
// constructed: those may fork, and what they register has its turn before ours then, as their locks are taken before
// ours. An object that is made when it is first used is asked for by its handler; so it is the forking thread that
// makes it or waits for it, and the child does not find it half made by a thread that it does not have.
[[gnu::constructor(101)]] void count_forks() {
    ::pthread_atfork(nullptr, nullptr, [] { detail::forks_before.fetch_add(1, std::memory_order_relaxed); });
}

}  // namespace

}  // namespace tercet
