#include "passed_descriptors.hpp"

#include <cstring>

namespace tercet::multiprocessing {

void passed_descriptors::attach(msghdr& message, std::span<const int> descriptors) noexcept {
    if (descriptors.empty()) return;
    message.msg_control = room_.data();
    message.msg_controllen = CMSG_SPACE(descriptors.size_bytes());
    std::memset(room_.data(), 0, message.msg_controllen);
    cmsghdr* const head = CMSG_FIRSTHDR(&message);
    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN(descriptors.size_bytes());
    std::memcpy(CMSG_DATA(head), descriptors.data(), descriptors.size_bytes());
}

void passed_descriptors::attach(msghdr& message, std::span<const unique_fd> descriptors) noexcept {
    std::array<int, max_descriptors> numbers;
    for (std::size_t i = 0; i < descriptors.size(); ++i) numbers[i] = descriptors[i].get();
    attach(message, std::span<const int>(numbers).first(descriptors.size()));
}

void passed_descriptors::expect(msghdr& message) noexcept {
    message.msg_control = room_.data();
    message.msg_controllen = room_.size();
}

void passed_descriptors::keep(const msghdr& message, std::vector<unique_fd>& kept) {
    auto& all = const_cast<msghdr&>(message);  // the macros do not know const
    for (cmsghdr* head = CMSG_FIRSTHDR(&all); head; head = CMSG_NXTHDR(&all, head)) {
        if (head->cmsg_level != SOL_SOCKET || head->cmsg_type != SCM_RIGHTS) continue;
        const std::size_t count = (head->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        std::array<unique_fd, max_descriptors> owned;
        for (std::size_t i = 0; i < count; ++i) {
            int fd = -1;
            std::memcpy(&fd, CMSG_DATA(head) + i * sizeof fd, sizeof fd);
            owned[i] = unique_fd(fd);
        }
        for (std::size_t i = 0; i < count; ++i) kept.push_back(std::move(owned[i]));
    }
}

}  // namespace tercet::multiprocessing
