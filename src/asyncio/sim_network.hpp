#pragma once

#include <tercet/asyncio/loop_clock.hpp>
#include <tercet/asyncio/poller.hpp>
#include <tercet/asyncio/sim.hpp>
#include <tercet/asyncio/socket_address.hpp>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tercet::asyncio {

/// Stream and datagram sockets and the network between them, in memory and in virtual time. The calls are those of
/// `socket_calls`. What concerns datagrams only stands in sim_datagrams.cpp.
class sim_network {
public:
    using time_point = loop_clock::time_point;

    sim_network(loop_clock& clock, std::uint64_t seed);

    /// Its descriptors are numbers that the kernel never gives.
    static bool owns(int descriptor) noexcept { return descriptor >= first_descriptor; }

    int open();
    int open_datagram();
    int set_option(int descriptor, int level, int name, int value) noexcept;
    int bind(int descriptor, const socket_address& address);
    int listen(int descriptor, int backlog) noexcept;
    int connect(int descriptor, const socket_address& peer);
    int connect_error(int descriptor) noexcept;
    int accept(int descriptor, socket_address& peer);
    ssize_t receive(int descriptor, std::span<char> into);
    ssize_t send(int descriptor, std::string_view data);
    ssize_t receive_from(int descriptor, std::span<char> into, int flags, socket_address& from);
    ssize_t send_to(int descriptor, std::string_view data, const socket_address& to);
    void shut_down(int descriptor);
    void close(int descriptor, bool by_reset);
    socket_address local_address(int descriptor) const noexcept;
    /// Throws `std::system_error` when no host has that name.
    std::vector<socket_address> look_up(const std::string& host, std::uint16_t port, bool is_passive);

    void attach(io_source& source);
    void detach(io_source& source) noexcept;
    /// When something arrives next.
    std::optional<time_point> next_arrival() const noexcept;
    /// Lets arrive what is due, and tells the sources. False: nothing was.
    bool deliver();

    // Hosts are numbers, names are for people; 0 is "localhost".
    std::size_t host(std::string_view name);
    void set_link(std::size_t a, std::size_t b, const sim::link& how);
    void set_links(const sim::link& how);
    void cut(std::size_t a, std::size_t b) { link_between(a, b).is_cut = true; }
    void heal(std::size_t a, std::size_t b);
    std::size_t reset_connections(std::size_t a, std::size_t b);

private:
    static constexpr int first_descriptor = 1 << 30;
    static constexpr std::size_t current_host = 0;             // where what connects is
    static constexpr std::size_t usual_message_room = 212992;  // what Linux gives

    enum class state : std::uint8_t { fresh, listening, connecting, connected, failed };
    struct datagram {
        std::string data;
        socket_address from;
        socket_address to;
    };
    struct socket {
        std::size_t host = 0;
        bool is_datagram = false;
        state is = state::fresh;
        io_source* source = nullptr;
        socket_address local;
        socket_address peer;
        int other = 0;              // of a connection: its far end
        std::string received;       // has arrived
        std::size_t taken = 0;      // of that, by the reader
        std::size_t to_credit = 0;  // taken, and the sender does not know it
        std::size_t under_way = 0;  // sent, and not known to be taken
        time_point last_arrival{};  // at this end: nothing overtakes
        std::deque<int> pending;    // of a listener
        std::size_t backlog = 0;
        int error = 0;         // for the next call
        bool has_end = false;  // the far end sends no more
        bool is_end_sent = false;
        bool is_reset = false;
        bool may_share_port = false;
        bool is_bound = false;          // by bind(): to an address of its choice
        std::deque<datagram> messages;  // have arrived, with so many bytes of at most so many
        std::size_t message_bytes = 0;
        std::size_t message_room = usual_message_room;
    };
    enum class kind : std::uint8_t { request, grant, refusal, expiry, data, end, reset, credit, report, mail, bounce };
    struct message {
        kind what;
        int to;
        int from = 0;
        std::string data = {};
        std::size_t count = 0;
        std::unique_ptr<datagram> mail = {};
    };
    struct link_state {
        sim::link how;
        bool is_cut = false;
        time_point busy_until[2] = {};
        std::vector<std::pair<message, std::pair<std::size_t, std::size_t>>> held;
    };
    struct arrival {
        message content;
        bool is_local;
        std::size_t from_host;
        std::size_t to_host;
    };

    socket* find(int descriptor) noexcept;
    socket& at(int descriptor) { return sockets_.at(descriptor); }
    int add(std::size_t host);
    link_state& link_between(std::size_t a, std::size_t b);
    std::size_t host_of(const socket_address& address);
    socket_address address_of(std::size_t host, std::uint16_t port) const;
    std::uint16_t free_port(std::size_t host);
    /// Gives the socket an address towards `peer` if it has none. False: there is no port left.
    bool name_socket(socket& named, const socket_address& peer);
    /// Of every host by that address: its own.
    static bool is_own(const std::string& address) noexcept;
    /// Nothing from other hosts arrives there.
    static bool is_private(const socket_address& local);
    /// Which of the sockets of a host a datagram is for; null: none.
    socket* receiver_of(const datagram& mail, std::size_t host, bool from_outside) noexcept;
    int listener_at(std::size_t host, std::uint16_t port, bool from_outside) noexcept;
    void transmit(message content, std::size_t from, std::size_t to);
    void transmit(message content);
    void post(time_point when, message content);
    void arrive(message& content);
    void arrive_request(message& content);
    void arrive_mail(message& content, std::size_t from, std::size_t to);
    /// By chance, as `link` has it.
    bool is_lost(const link_state& link);
    static void report(socket& told, readiness what) noexcept;

    loop_clock& clock_;
    std::mt19937_64 random_;
    std::map<int, socket> sockets_;
    int next_descriptor_ = first_descriptor;
    std::vector<std::string> hosts_{"localhost"};
    std::map<std::size_t, std::uint16_t> last_port_;
    sim::link usual_link_;
    std::map<std::pair<std::size_t, std::size_t>, link_state> links_;
    std::map<std::pair<time_point, std::uint64_t>, arrival> arrivals_;
    std::uint64_t next_sequence_ = 0;
};

}  // namespace tercet::asyncio
