// The clock moves in wait() only, when nothing is ready: to the next deadline or arrival. Not while a thread owes an
// answer: then it goes as fast as the clock of the world, until the answer is there or the deadline has come. A program
// that is never idle, because it waits for the clock itself, would wait for ever: after many turns in a row in which
// something was ready, some time passes.
//
// A simulated machine has as much memory as it needs: std::bad_alloc ends the program, as in the other noexcept calls.

#include "asyncio/sim_poller.hpp"

#include <algorithm>
#include <cerrno>

namespace tercet::asyncio {

namespace {

using namespace std::chrono_literals;

constexpr int most_busy_turns = 1000;
constexpr auto time_of_busy_turns = 1ms;

}  // namespace

void sim_poller::add(io_source& source, readiness interest, trigger how) {
    if (sim_network::owns(source.descriptor()))
        network_.attach(source);
    else
        kernel_.add(source, interest, how);
}

void sim_poller::modify(io_source& source, readiness interest, trigger how) {
    if (!sim_network::owns(source.descriptor())) kernel_.modify(source, interest, how);
}

void sim_poller::remove(io_source& source) noexcept {
    if (sim_network::owns(source.descriptor()))
        network_.detach(source);
    else
        kernel_.remove(source);
}

void sim_poller::wait(std::optional<std::chrono::nanoseconds> limit) noexcept {
    const bool is_kernel_ready = kernel_.report(0ns) > 0;
    const bool has_arrivals = network_.deliver();
    if (limit && limit->count() == 0) {
        if (++busy_turns_ < most_busy_turns) return;
        clock_.move_to(clock_.now() + time_of_busy_turns);
    } else if (!is_kernel_ready && !has_arrivals) {
        std::optional<loop_clock::time_point> next = network_.next_arrival();
        if (limit && (!next || clock_.now() + *limit < *next)) next = clock_.now() + *limit;
        sleep_until(next);
        network_.deliver();
    }
    busy_turns_ = 0;
}

void sim_poller::sleep_until(std::optional<loop_clock::time_point> next) noexcept {
    if (!next) {
        kernel_.report(std::nullopt);
    } else if (owed_answers() == 0) {
        clock_.move_to(*next);
    } else {
        const auto begun = std::chrono::steady_clock::now();
        kernel_.report(*next - clock_.now());
        clock_.move_to(std::min(*next, clock_.now() + (std::chrono::steady_clock::now() - begun)));
    }
}

int sim_poller::open(int family) noexcept {
    return family == AF_INET || family == AF_INET6 ? network_.open() : poller::open(family);
}

int sim_poller::open_datagram(int family) noexcept {
    return family == AF_INET || family == AF_INET6 ? network_.open_datagram() : poller::open_datagram(family);
}

int sim_poller::set_option(int descriptor, int level, int name, int value) noexcept {
    if (!sim_network::owns(descriptor)) return poller::set_option(descriptor, level, name, value);
    return network_.set_option(descriptor, level, name, value);
}

int sim_poller::bind(int descriptor, const socket_address& address) noexcept {
    return sim_network::owns(descriptor) ? network_.bind(descriptor, address) : poller::bind(descriptor, address);
}

int sim_poller::listen(int descriptor, int backlog) noexcept {
    return sim_network::owns(descriptor) ? network_.listen(descriptor, backlog) : poller::listen(descriptor, backlog);
}

int sim_poller::connect(int descriptor, const socket_address& peer) noexcept {
    return sim_network::owns(descriptor) ? network_.connect(descriptor, peer) : poller::connect(descriptor, peer);
}

int sim_poller::connect_error(io_source& source) noexcept {
    const bool is_ours = sim_network::owns(source.descriptor());
    return is_ours ? network_.connect_error(source.descriptor()) : poller::connect_error(source);
}

int sim_poller::accept(io_source& listener, socket_address& peer) noexcept {
    const bool is_ours = sim_network::owns(listener.descriptor());
    return is_ours ? network_.accept(listener.descriptor(), peer) : poller::accept(listener, peer);
}

ssize_t sim_poller::receive(io_source& source, std::span<char> into) noexcept {
    const bool is_ours = sim_network::owns(source.descriptor());
    return is_ours ? network_.receive(source.descriptor(), into) : poller::receive(source, into);
}

ssize_t sim_poller::send(io_source& source, std::string_view data) noexcept {
    const bool is_ours = sim_network::owns(source.descriptor());
    return is_ours ? network_.send(source.descriptor(), data) : poller::send(source, data);
}

ssize_t sim_poller::send_file(io_source& source, int file, off_t& offset, std::size_t count) noexcept {
    if (!sim_network::owns(source.descriptor())) return poller::send_file(source, file, offset, count);
    errno = EINVAL;  // the caller reads the file itself
    return -1;
}

ssize_t sim_poller::receive_from(io_source& source, std::span<char> into, int flags, socket_address& from) noexcept {
    const int descriptor = source.descriptor();
    return sim_network::owns(descriptor) ? network_.receive_from(descriptor, into, flags, from)
                                         : poller::receive_from(source, into, flags, from);
}

ssize_t sim_poller::send_to(io_source& source, std::string_view data, const socket_address& to) noexcept {
    const int descriptor = source.descriptor();
    return sim_network::owns(descriptor) ? network_.send_to(descriptor, data, to) : poller::send_to(source, data, to);
}

void sim_poller::shut_down(io_source& source) noexcept {
    if (sim_network::owns(source.descriptor()))
        network_.shut_down(source.descriptor());
    else
        poller::shut_down(source);
}

void sim_poller::close(int descriptor) noexcept {
    if (sim_network::owns(descriptor))
        network_.close(descriptor, false);
    else
        poller::close(descriptor);
}

void sim_poller::reset(int descriptor) noexcept {
    if (sim_network::owns(descriptor))
        network_.close(descriptor, true);
    else
        poller::reset(descriptor);
}

socket_address sim_poller::local_address(int descriptor) noexcept {
    return sim_network::owns(descriptor) ? network_.local_address(descriptor) : poller::local_address(descriptor);
}

std::vector<socket_address> sim_poller::look_up(const std::string& host, std::uint16_t port, bool is_passive) {
    return network_.look_up(host, port, is_passive);
}

}  // namespace tercet::asyncio
