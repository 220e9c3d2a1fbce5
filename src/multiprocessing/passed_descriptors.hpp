#pragma once

#include <tercet/multiprocessing/archive.hpp>
#include <tercet/multiprocessing/unique_fd.hpp>

#include <sys/socket.h>

#include <array>
#include <cstddef>
#include <span>
#include <vector>

namespace tercet::multiprocessing {

/// Room for the file descriptors that go through a Unix socket with one call of sendmsg() or recvmsg() (SCM_RIGHTS).
class passed_descriptors {
public:
    /// Makes `message` bring `descriptors`, at most `max_descriptors`.
    void attach(msghdr& message, std::span<const int> descriptors) noexcept;
    void attach(msghdr& message, std::span<const unique_fd> descriptors) noexcept;

    /// Before recvmsg(), with MSG_CMSG_CLOEXEC.
    void expect(msghdr& message) noexcept;
    /// After it: appends what has come to `kept`. Throws `std::bad_alloc`; then what has come is closed.
    static void keep(const msghdr& message, std::vector<unique_fd>& kept);

private:
    // Not cleared before it is used: up to 253 descriptors have a kilobyte.
    alignas(cmsghdr) std::array<std::byte, CMSG_SPACE(max_descriptors * sizeof(int))> room_;
};

}  // namespace tercet::multiprocessing
