#pragma once

#include <unistd.h>

#include <cerrno>
#include <cstdint>

namespace tercet::multiprocessing {

/// Wakes whoever waits for the eventfd to be readable. Async-signal-safe. Any thread.
inline void ring(int bell) noexcept {
    const std::uint64_t one = 1;
    while (::write(bell, &one, sizeof one) < 0 && errno == EINTR) {
    }
}

/// Takes back what has been rung so far, if anything.
inline void clear_bell(int bell) noexcept {
    std::uint64_t rung = 0;
    [[maybe_unused]] const auto count = ::read(bell, &rung, sizeof rung);
}

}  // namespace tercet::multiprocessing
