#include <tercet/multiprocessing/wait_ready.hpp>

#include <fmt/format.h>
#include <poll.h>

#include <stdexcept>

#include "descriptor_poll.hpp"

namespace tercet::multiprocessing {

namespace {

[[noreturn]] void throw_not_open(int fd) {
    throw std::invalid_argument(fmt::format("wait_ready: file descriptor {} is not open", fd));
}

}  // namespace

std::vector<std::size_t> wait_ready(std::span<const waitable> objects, time_limit limit) {
    std::vector<pollfd> waited;
    waited.reserve(objects.size());
    for (const auto& each : objects) {
        if (each.fileno() < 0) throw_not_open(each.fileno());  // poll would overlook it
        waited.push_back({each.fileno(), POLLIN, 0});
    }
    poll_until(waited, limit.deadline());
    std::vector<std::size_t> ready;
    for (std::size_t i = 0; i < waited.size(); ++i) {
        if ((waited[i].revents & POLLNVAL) != 0) throw_not_open(waited[i].fd);
        if (waited[i].revents != 0) ready.push_back(i);
    }
    return ready;
}

std::vector<std::size_t> wait_ready(std::initializer_list<waitable> objects, time_limit limit) {
    return wait_ready(std::span(objects.begin(), objects.size()), limit);
}

}  // namespace tercet::multiprocessing
