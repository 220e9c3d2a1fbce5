// A datagram finds its socket when it arrives: by the host, the port, and the peer of a connected one. It may be lost,
// be overtaken where the link has jitter, and is dropped by a link that is cut and by a receiver that has no room.
// Where nobody receives, a connected sender is told by a message back, as by ICMP, unless that is lost too.

#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <utility>
#include <vector>

#include "asyncio/sim_network.hpp"

namespace tercet::asyncio {

namespace {

constexpr std::size_t largest = 65507;  // of UDP over IPv4

int fail(int error) noexcept {
    errno = error;
    return -1;
}

}  // namespace

int sim_network::open_datagram() {
    const int descriptor = add(current_host);
    at(descriptor).is_datagram = true;
    return descriptor;
}

ssize_t sim_network::receive_from(int descriptor, std::span<char> into, int flags, socket_address& from) {
    socket& reader = at(descriptor);
    if (reader.error != 0) return fail(std::exchange(reader.error, 0));
    if (reader.messages.empty()) return fail(EAGAIN);
    const datagram& next = reader.messages.front();
    const std::size_t size = next.data.size();
    if (!into.empty()) std::memcpy(into.data(), next.data.data(), std::min(into.size(), size));
    from = next.from;
    if ((flags & MSG_PEEK) == 0) {
        reader.message_bytes -= size;
        reader.messages.pop_front();
    }
    return static_cast<ssize_t>(size);
}

ssize_t sim_network::send_to(int descriptor, std::string_view data, const socket_address& to) {
    socket& sender = at(descriptor);
    if (sender.error != 0) return fail(std::exchange(sender.error, 0));
    const socket_address& target = to.size() > 0 ? to : sender.peer;
    if (target.size() == 0) return fail(EDESTADDRREQ);
    if (target.is_unix()) return fail(EAFNOSUPPORT);
    if (data.size() > largest) return fail(EMSGSIZE);
    if (!name_socket(sender, target)) return fail(EADDRNOTAVAIL);
    const std::string written = sender.local.host();
    socket_address from = sender.local;
    if (is_own(written) && !is_private(sender.local)) {  // bound to every address
        from = is_own(target.host()) ? *socket_address::from_numeric("127.0.0.1", 0) : address_of(sender.host, 0);
        from.set_port(sender.local.port());
    }
    auto mail = std::make_unique<datagram>(datagram{std::string(data), from, target});
    const std::size_t host = host_of(target);
    transmit({.what = kind::mail, .to = descriptor, .from = descriptor, .mail = std::move(mail)}, sender.host, host);
    return static_cast<ssize_t>(data.size());
}

sim_network::socket* sim_network::receiver_of(const datagram& mail, std::size_t host, bool from_outside) noexcept {
    std::vector<socket*> connected;
    std::vector<socket*> open_to_all;
    for (auto& [descriptor, each] : sockets_) {
        if (!each.is_datagram || each.host != host || each.local.port() != mail.to.port()) continue;
        if (from_outside && each.is_bound && is_private(each.local)) continue;
        if (each.peer.size() == 0)
            open_to_all.push_back(&each);
        else if (each.peer == mail.from)
            connected.push_back(&each);
    }
    const std::vector<socket*>& found = connected.empty() ? open_to_all : connected;
    if (found.empty()) return nullptr;
    return found.size() == 1 ? found.front() : found[random_() % found.size()];
}

void sim_network::arrive_mail(message& content, std::size_t from, std::size_t to) {
    if (link_between(from, to).is_cut) return;
    datagram& mail = *content.mail;
    socket* const receiver = receiver_of(mail, to, from != to);
    if (!receiver) {
        const socket* const sender = find(content.from);
        if (sender && sender->peer == mail.to)
            transmit({.what = kind::bounce, .to = content.from, .from = content.from}, to, from);
        return;
    }
    const std::size_t size = mail.data.size();
    if (!receiver->messages.empty() && receiver->message_bytes + size > receiver->message_room) return;
    receiver->message_bytes += size;
    receiver->messages.push_back(std::move(mail));
    report(*receiver, readiness::readable);
}

}  // namespace tercet::asyncio
