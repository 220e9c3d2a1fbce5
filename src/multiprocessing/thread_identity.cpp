// Kernel thread ids come again: a new thread must not be taken for the one that died with a lock. 64 random bits do
// not.

#include "thread_identity.hpp"

#include <tercet/futures/fork_generation.hpp>

#include <sys/random.h>

namespace tercet::multiprocessing {

namespace {

struct identity {
    std::uint64_t generation = 0;
    std::uint64_t number = 0;
};

thread_local identity mine;

}  // namespace

std::uint64_t thread_identity() noexcept {
    if (const std::uint64_t generation = fork_generation(); mine.generation != generation) [[unlikely]] {
        do {
            while (::getrandom(&mine.number, sizeof mine.number, 0) != sizeof mine.number) {
            }
        } while (mine.number == 0);
        mine.generation = generation;
    }
    return mine.number;
}

}  // namespace tercet::multiprocessing
