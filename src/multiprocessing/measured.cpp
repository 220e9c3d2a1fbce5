#include <tercet/multiprocessing/measured.hpp>

#include <sys/resource.h>
#include <unistd.h>

namespace tercet::multiprocessing::detail {

namespace {

std::chrono::nanoseconds duration_of(const timeval& time) {
    return std::chrono::seconds(time.tv_sec) + std::chrono::microseconds(time.tv_usec);
}

rusage own_usage() noexcept {
    rusage used{};
    ::getrusage(RUSAGE_SELF, &used);
    return used;
}

std::chrono::nanoseconds cpu_of(const rusage& used) { return duration_of(used.ru_utime) + duration_of(used.ru_stime); }

}  // namespace

call_meter::call_meter(submission_time submitted) noexcept
    : began_(std::chrono::steady_clock::now()), cpu_before_(cpu_of(own_usage())) {
    so_far_.queued = began_ - submitted;
    so_far_.worker = ::getpid();
}

call_statistics call_meter::read() const noexcept {
    const rusage used = own_usage();
    call_statistics result = so_far_;
    result.ran = std::chrono::steady_clock::now() - began_;
    result.cpu = cpu_of(used) - cpu_before_;
    result.peak_rss_bytes = static_cast<std::uint64_t>(used.ru_maxrss) * 1024;
    return result;
}

}  // namespace tercet::multiprocessing::detail
