// What one end does becomes a message, which arrives at the other later: at the end of the link's delay, and never
// before what was sent earlier to the same socket. Messages are ordered by the time of their arrival, then by that of
// their sending; so everything that happens follows from what the program does and from the seed.
//
//   connect   request ->   <- grant, or refusal: nobody listens there
//   send      data ->      <- credit: the reader took so much; a sender has at most a window of bytes under way
//   shut_down, close       end ->
//   close with bytes that nobody read, data for a socket that is gone, reset_connections      reset ->
//
// On a link that is cut these messages are held back, as if they were sent again until the link is whole. Sources are
// told inside deliver() only, that is inside poller::wait; one that is added is told what happened before by a message
// to itself.

#include "asyncio/sim_network.hpp"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>

#include "asyncio/resolver.hpp"

namespace tercet::asyncio {

namespace {

using namespace std::chrono_literals;

constexpr std::size_t window = std::size_t{256} << 10;
constexpr auto connect_limit = 127s;  // what Linux takes
constexpr auto until_sent_again = 200ms;
constexpr auto until_asked_again = 1s;
constexpr std::uint16_t first_free_port = 49152;

int fail(int error) noexcept {
    errno = error;
    return -1;
}

}  // namespace

bool sim_network::is_own(const std::string& address) noexcept {
    return address == "0.0.0.0" || address == "::" || address == "::1" || address.starts_with("127.");
}

bool sim_network::is_private(const socket_address& local) {
    const std::string address = local.host();
    return is_own(address) && address != "0.0.0.0" && address != "::";
}

sim_network::sim_network(loop_clock& clock, std::uint64_t seed) : clock_(clock), random_(seed) {}

// Hosts and addresses

std::size_t sim_network::host(std::string_view name) {
    const auto known = std::ranges::find(hosts_, name);
    if (known != hosts_.end()) return static_cast<std::size_t>(known - hosts_.begin());
    hosts_.emplace_back(name);
    return hosts_.size() - 1;
}

socket_address sim_network::address_of(std::size_t host, std::uint16_t port) const {
    if (auto numeric = socket_address::from_numeric(hosts_[host], port)) return *numeric;
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(host == 0 ? INADDR_LOOPBACK : 0x0a000000U + static_cast<std::uint32_t>(host));
    return {reinterpret_cast<const sockaddr*>(&address), sizeof address};
}

std::size_t sim_network::host_of(const socket_address& address) {
    const std::string text = address.host();
    if (is_own(text)) return current_host;
    for (std::size_t each = 1; each < hosts_.size(); ++each)
        if (address_of(each, 0).host() == text) return each;
    return host(text);
}

std::vector<socket_address> sim_network::look_up(const std::string& name, std::uint16_t port, bool is_passive) {
    if (is_passive && name.empty()) return {*socket_address::from_numeric("0.0.0.0", port)};
    if (!is_passive && std::ranges::find(hosts_, name) == hosts_.end())
        throw std::system_error(EAI_NONAME, resolver_category(), "resolve " + name);
    return {address_of(host(name), port)};
}

std::uint16_t sim_network::free_port(std::size_t host) {
    std::uint16_t& last = last_port_.try_emplace(host, std::uint16_t{first_free_port - 1}).first->second;
    const auto is_taken = [&](std::uint16_t port) {
        return std::ranges::any_of(
            sockets_, [&](const auto& each) { return each.second.host == host && each.second.local.port() == port; });
    };
    for (int attempt = first_free_port; attempt <= UINT16_MAX; ++attempt) {
        last = last == UINT16_MAX ? first_free_port : static_cast<std::uint16_t>(last + 1);
        if (!is_taken(last)) return last;
    }
    return 0;
}

// Links

sim_network::link_state& sim_network::link_between(std::size_t a, std::size_t b) {
    const auto [place, is_new] = links_.try_emplace(std::minmax(a, b));
    if (is_new) place->second.how = usual_link_;
    return place->second;
}

void sim_network::set_link(std::size_t a, std::size_t b, const sim::link& how) { link_between(a, b).how = how; }

void sim_network::set_links(const sim::link& how) {
    for (auto& [ends, each] : links_) each.how = how;
    usual_link_ = how;
}

void sim_network::heal(std::size_t a, std::size_t b) {
    link_state& link = link_between(a, b);
    link.is_cut = false;
    for (auto& [content, hosts] : std::exchange(link.held, {})) transmit(std::move(content), hosts.first, hosts.second);
}

std::size_t sim_network::reset_connections(std::size_t a, std::size_t b) {
    std::size_t ends = 0;
    for (auto& [descriptor, each] : sockets_) {
        if (each.is != state::connected || each.is_reset) continue;
        const socket* const other = find(each.other);
        if (!other || std::minmax(each.host, other->host) != std::minmax(a, b)) continue;
        ++ends;
        post(clock_.now(), {.what = kind::reset, .to = descriptor});
    }
    return ends / 2;
}

void sim_network::post(time_point when, message content) {
    arrivals_.emplace(std::pair(when, next_sequence_++), arrival{std::move(content), true, 0, 0});
}

void sim_network::transmit(message content) {
    const socket* const from = find(content.from);
    const socket* const to = find(content.to);
    if (from && to) transmit(std::move(content), from->host, to->host);
}

bool sim_network::is_lost(const link_state& link) {
    return link.how.loss > 0 && static_cast<double>(random_() >> 11U) * 0x1p-53 < std::min(link.how.loss, 0.99);
}

void sim_network::transmit(message content, std::size_t from, std::size_t to) {
    link_state& link = link_between(from, to);
    time_point when = clock_.now();
    if (link.how.bandwidth > 0) {
        time_point& busy_until = link.busy_until[from < to];
        const std::size_t size = content.mail ? content.mail->data.size() : content.data.size();
        const double seconds = static_cast<double>(size) / static_cast<double>(link.how.bandwidth);
        busy_until = std::max(busy_until, when) +
                     std::chrono::ceil<std::chrono::nanoseconds>(std::chrono::duration<double>(seconds));
        when = busy_until;
    }
    when += link.how.delay;
    if (link.how.jitter > 0ns)
        when += std::chrono::nanoseconds(random_() % static_cast<std::uint64_t>(link.how.jitter.count() + 1));
    const bool is_mail = content.what == kind::mail || content.what == kind::bounce;
    if (is_mail && (link.is_cut || is_lost(link))) return;
    while (!is_mail && is_lost(link)) when += until_sent_again;
    if (socket* const receiver = find(content.to); receiver && content.what != kind::request && !is_mail) {
        when = std::max(when, receiver->last_arrival);
        receiver->last_arrival = when;
    }
    arrivals_.emplace(std::pair(when, next_sequence_++), arrival{std::move(content), false, from, to});
}

// Sockets

sim_network::socket* sim_network::find(int descriptor) noexcept {
    const auto found = sockets_.find(descriptor);
    return found == sockets_.end() ? nullptr : &found->second;
}

int sim_network::add(std::size_t host) {
    sockets_[next_descriptor_].host = host;
    return next_descriptor_++;
}

int sim_network::open() { return add(current_host); }

int sim_network::set_option(int descriptor, int level, int name, int value) noexcept {
    if (level != SOL_SOCKET) return 0;
    socket& changed = at(descriptor);
    if (name == SO_REUSEPORT || (name == SO_REUSEADDR && changed.is_datagram)) changed.may_share_port = value != 0;
    if (name == SO_RCVBUF && changed.is_datagram) changed.message_room = 2 * static_cast<std::size_t>(value);
    return 0;
}

int sim_network::bind(int descriptor, const socket_address& address) {
    socket& bound = at(descriptor);
    bound.host = host_of(address);
    socket_address local = address;
    if (local.port() == 0) local.set_port(free_port(bound.host));
    if (local.port() == 0) return fail(EADDRINUSE);
    for (const auto& [other, each] : sockets_)
        if (each.host == bound.host && each.is_datagram == bound.is_datagram &&
            (each.is == state::listening || each.is_datagram) && each.local.port() == local.port() &&
            !(each.may_share_port && bound.may_share_port) &&
            (each.local == local || is_own(each.local.host()) || is_own(local.host())))
            return fail(EADDRINUSE);
    bound.local = local;
    bound.is_bound = true;
    return 0;
}

int sim_network::listen(int descriptor, int backlog) noexcept {
    socket& listener = at(descriptor);
    listener.is = state::listening;
    listener.backlog = static_cast<std::size_t>(std::max(backlog, 1));
    return 0;
}

bool sim_network::name_socket(socket& named, const socket_address& peer) {
    if (named.local.port() != 0) return true;
    named.local = is_own(peer.host()) ? peer : address_of(named.host, 0);
    named.local.set_port(free_port(named.host));
    return named.local.port() != 0;
}

int sim_network::connect(int descriptor, const socket_address& peer) {
    socket& client = at(descriptor);
    const std::size_t target = host_of(peer);
    if (!name_socket(client, peer)) return fail(EADDRNOTAVAIL);
    client.peer = peer;
    if (client.is_datagram) return 0;
    client.is = state::connecting;
    transmit({.what = kind::request, .to = descriptor, .from = descriptor}, client.host, target);
    post(clock_.now() + connect_limit, {.what = kind::expiry, .to = descriptor});
    return 0;
}

int sim_network::connect_error(int descriptor) noexcept {
    const socket& client = at(descriptor);
    if (client.is == state::connecting) return EINPROGRESS;
    return client.is == state::failed ? client.error : 0;
}

int sim_network::accept(int descriptor, socket_address& peer) {
    socket& listener = at(descriptor);
    if (listener.pending.empty()) return fail(EAGAIN);
    const int accepted = listener.pending.front();
    listener.pending.pop_front();
    peer = at(accepted).peer;
    return accepted;
}

ssize_t sim_network::receive(int descriptor, std::span<char> into) {
    socket& reader = at(descriptor);
    const std::size_t count = std::min(into.size(), reader.received.size() - reader.taken);
    if (count > 0) {
        std::memcpy(into.data(), reader.received.data() + reader.taken, count);
        reader.taken += count;
        reader.to_credit += count;
        if (reader.taken == reader.received.size()) {
            reader.received.clear();
            reader.taken = 0;
        }
        if (reader.received.empty() || reader.to_credit >= window / 4)
            transmit({.what = kind::credit,
                      .to = reader.other,
                      .from = descriptor,
                      .count = std::exchange(reader.to_credit, 0)});
        return static_cast<ssize_t>(count);
    }
    if (reader.error != 0) return fail(std::exchange(reader.error, 0));
    if (reader.has_end || reader.is_reset || into.empty()) return 0;
    return fail(reader.is == state::connected || reader.is == state::connecting ? EAGAIN : ENOTCONN);
}

ssize_t sim_network::send(int descriptor, std::string_view data) {
    socket& sender = at(descriptor);
    if (sender.error != 0) return fail(std::exchange(sender.error, 0));
    if (sender.is == state::connecting) return fail(EAGAIN);
    if (sender.is != state::connected || sender.is_reset || sender.is_end_sent) return fail(EPIPE);
    const std::size_t count = std::min(data.size(), window - sender.under_way);
    if (count == 0) return fail(EAGAIN);
    sender.under_way += count;
    message sent{
        .what = kind::data, .to = sender.other, .from = descriptor, .data = std::string(data.substr(0, count))};
    if (find(sender.other))
        transmit(std::move(sent));
    else  // it will hear that by itself
        post(clock_.now(), {.what = kind::reset, .to = descriptor});
    return static_cast<ssize_t>(count);
}

void sim_network::shut_down(int descriptor) {
    socket& sender = at(descriptor);
    if (sender.is != state::connected || sender.is_reset || std::exchange(sender.is_end_sent, true)) return;
    transmit({.what = kind::end, .to = sender.other, .from = descriptor});
}

void sim_network::close(int descriptor, bool by_reset) {
    socket& closed = at(descriptor);
    for (const int each : std::exchange(closed.pending, {})) close(each, true);
    if (closed.is == state::connected && !closed.is_reset) {
        if (by_reset || !closed.received.empty())
            transmit({.what = kind::reset, .to = closed.other, .from = descriptor});
        else
            shut_down(descriptor);
    }
    sockets_.erase(descriptor);
}

socket_address sim_network::local_address(int descriptor) const noexcept {
    const auto found = sockets_.find(descriptor);
    return found == sockets_.end() ? socket_address() : found->second.local;
}

// Sources and arrivals

void sim_network::attach(io_source& source) {
    at(source.descriptor()).source = &source;
    post(clock_.now(), {.what = kind::report, .to = source.descriptor()});
}

void sim_network::detach(io_source& source) noexcept {
    if (socket* const known = find(source.descriptor())) known->source = nullptr;
}

std::optional<sim_network::time_point> sim_network::next_arrival() const noexcept {
    if (arrivals_.empty()) return std::nullopt;
    return arrivals_.begin()->first.first;
}

bool sim_network::deliver() {
    bool has_delivered = false;
    const std::uint64_t sent_before = next_sequence_;
    for (auto next = arrivals_.begin(); next != arrivals_.end() && next->first.first <= clock_.now();) {
        if (next->first.second >= sent_before) {  // of those that have arrived now: the next turn's
            ++next;
            continue;
        }
        arrival arrived = std::move(next->second);
        arrivals_.erase(next);
        has_delivered = true;
        if (arrived.is_local) {
            arrive(arrived.content);
        } else if (arrived.content.what == kind::mail) {
            arrive_mail(arrived.content, arrived.from_host, arrived.to_host);
        } else {
            link_state& link = link_between(arrived.from_host, arrived.to_host);
            if (!link.is_cut)
                arrive(arrived.content);
            else if (arrived.content.what != kind::bounce)
                link.held.emplace_back(std::move(arrived.content), std::pair(arrived.from_host, arrived.to_host));
        }
        next = arrivals_.begin();
    }
    return has_delivered;
}

void sim_network::report(socket& told, readiness what) noexcept {
    if (told.source) told.source->on_ready(what);
}

int sim_network::listener_at(std::size_t host, std::uint16_t port, bool from_outside) noexcept {
    std::vector<int> found;
    for (const auto& [descriptor, each] : sockets_) {
        if (each.is == state::listening && each.host == host && each.local.port() == port &&
            !(from_outside && is_private(each.local)))
            found.push_back(descriptor);
    }
    if (found.empty()) return 0;
    return found.size() == 1 ? found.front() : found[random_() % found.size()];
}

void sim_network::arrive_request(message& content) {
    socket* client = find(content.from);
    if (!client || client->is != state::connecting) return;
    const std::string target = client->peer.host();
    const std::size_t host = is_own(target) ? client->host : host_of(client->peer);
    const int listening = listener_at(host, client->peer.port(), host != client->host);
    if (listening == 0) {
        transmit({.what = kind::refusal, .to = content.from}, host, client->host);
        return;
    }
    if (at(listening).pending.size() >= at(listening).backlog) {
        const auto again = clock_.now() + until_asked_again;
        arrivals_.emplace(std::pair(again, next_sequence_++), arrival{std::move(content), false, client->host, host});
        return;
    }
    const int accepted = add(host);
    socket& served = at(accepted);
    served.is = state::connected;
    served.local = client->peer;
    served.peer = client->local;
    served.other = content.from;
    at(listening).pending.push_back(accepted);
    transmit({.what = kind::grant, .to = content.from, .from = accepted});
    report(at(listening), readiness::readable);
}

void sim_network::arrive(message& content) {
    if (content.what == kind::request) return arrive_request(content);
    socket* const found = find(content.to);
    if (!found) {
        if (content.what == kind::data || content.what == kind::grant)
            post(clock_.now(), {.what = kind::reset, .to = content.from});
        return;
    }
    socket& told = *found;
    const bool is_connecting = told.is == state::connecting;
    switch (content.what) {
        case kind::request:
        case kind::mail:
            break;
        case kind::bounce:
            told.error = ECONNREFUSED;
            report(told, readiness::both);
            break;
        case kind::grant:
            if (!is_connecting) break;
            told.is = state::connected;
            told.other = content.from;
            report(told, readiness::writable);
            break;
        case kind::refusal:
        case kind::expiry:
            if (!is_connecting) break;
            told.is = state::failed;
            told.error = content.what == kind::refusal ? ECONNREFUSED : ETIMEDOUT;
            report(told, readiness::both | readiness::hangup);
            break;
        case kind::data:
            if (told.is_reset) break;
            told.received.append(content.data);
            report(told, readiness::readable);
            break;
        case kind::end:
            told.has_end = true;
            report(told, readiness::readable | readiness::hangup);
            break;
        case kind::reset:
            if (std::exchange(told.is_reset, true)) break;
            told.error = told.has_end ? EPIPE : ECONNRESET;
            report(told, readiness::both | readiness::hangup);
            break;
        case kind::credit:
            told.under_way -= content.count;
            report(told, readiness::writable);
            break;
        case kind::report: {
            readiness what = readiness::none;
            if (!told.received.empty() || !told.pending.empty() || !told.messages.empty())
                what = what | readiness::readable;
            if (told.has_end) what = what | readiness::readable | readiness::hangup;
            if (told.is_reset || told.is == state::failed) what = readiness::both | readiness::hangup;
            if (what != readiness::none) report(told, what);
            break;
        }
    }
}

}  // namespace tercet::asyncio
