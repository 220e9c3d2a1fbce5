#include <tercet/futures/time_limit.hpp>

#include <cmath>
#include <stdexcept>

namespace tercet {

time_limit::clock::time_point time_limit::deadline(clock::time_point from) const noexcept {
    if (is_forever() || clock::time_point::max() - from <= limit_) return clock::time_point::max();
    return from + limit_;
}

std::chrono::nanoseconds time_limit::checked(long double seconds) {
    if (std::isnan(seconds)) throw std::invalid_argument("time limit: the duration is not a number");
    if (seconds < 0) throw std::invalid_argument("time limit: the duration is negative; zero means not to wait");
    const long double nanoseconds = std::round(seconds * 1e9L);
    if (nanoseconds >= static_cast<long double>(std::chrono::nanoseconds::max().count())) return none;
    return std::chrono::nanoseconds(static_cast<std::chrono::nanoseconds::rep>(nanoseconds));
}

}  // namespace tercet
