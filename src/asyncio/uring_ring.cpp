// What an older kernel does not know it refuses with EINVAL, so flags are tried from the most that help to none.

#include "asyncio/uring_ring.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <memory>

namespace tercet::asyncio {

namespace {

constexpr unsigned entries = 256;
constexpr unsigned completions = 4096;

constexpr std::array ladder{
    IORING_SETUP_SUBMIT_ALL | IORING_SETUP_R_DISABLED | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
        IORING_SETUP_TASKRUN_FLAG,
    IORING_SETUP_SUBMIT_ALL | IORING_SETUP_R_DISABLED | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_COOP_TASKRUN |
        IORING_SETUP_TASKRUN_FLAG,
    IORING_SETUP_SUBMIT_ALL | IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG,
    IORING_SETUP_SUBMIT_ALL,
    0U,
};

/// Goes up when the memory of a ring is given back, of which another thread's ring may be made. liburing maps by system
/// calls of its own, so ThreadSanitizer does not see that the one comes after the other.
std::atomic<unsigned> rings_ended{0};

}  // namespace

int set_up_with_most_flags(const std::function<int(unsigned flags)>& set_up) {
    int error = EINVAL;
    for (const unsigned flags : ladder)
        if (error = set_up(flags); error != EINVAL) break;
    return error;
}

int open_ring(io_uring& ring) noexcept {
    const int error = set_up_with_most_flags([&ring](unsigned flags) {
        io_uring_params how{};
        how.flags = flags | IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP;
        how.cq_entries = completions;
        return -::io_uring_queue_init_params(entries, &ring, &how);
    });
    if (error != 0) return error;
    constexpr unsigned needed_features = IORING_FEAT_EXT_ARG | IORING_FEAT_NODROP | IORING_FEAT_FAST_POLL;
    constexpr std::array needed_operations{IORING_OP_POLL_ADD, IORING_OP_RECV, IORING_OP_ASYNC_CANCEL};
    const std::unique_ptr<io_uring_probe, decltype(&::io_uring_free_probe)> probe(::io_uring_get_probe_ring(&ring),
                                                                                  &::io_uring_free_probe);
    const bool can_do = (ring.features & needed_features) == needed_features && probe &&
                        std::ranges::all_of(needed_operations, [&probe](int operation) {
                            return ::io_uring_opcode_supported(probe.get(), operation) != 0;
                        });
    if (!can_do) {
        end_ring(ring);
        return ENOSYS;
    }
    static_cast<void>(rings_ended.load(std::memory_order_acquire));
    return 0;
}

void end_ring(io_uring& ring) noexcept {
    rings_ended.fetch_add(1, std::memory_order_release);
    ::io_uring_queue_exit(&ring);
}

}  // namespace tercet::asyncio
