#pragma once

#include <tercet/asyncio/coro.hpp>
#include <tercet/asyncio/event_loop.hpp>
#include <tercet/asyncio/run.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <source_location>
#include <string_view>
#include <utility>

namespace tercet::asyncio {

class sim_network;

/// Tests in virtual time: `sim::run(main())` runs code that knows nothing of it. The loop's clock stands still while
/// anything is ready and then jumps to the next deadline or arrival, so a day of waiting takes no time and a timeout is
/// exact. `open_connection` and `start_server`, and the datagrams of `bind_datagram` and `connect_datagram`, meet in a
/// network in memory, which the test can slow down, cut and break. With a seed, what is ready at the same time runs in
/// an order of that seed: another seed, another interleaving, and the same one again whenever the seed is the same.
///
/// While a thread owes a result (`run_in_executor`, `to_thread`, a future) the clock does not jump: it keeps pace with
/// the time of the world. Descriptors of the kernel (pipes, Unix sockets, `add_reader`) are looked at before each jump.
namespace sim {

struct options {
    std::uint64_t seed = 0;  ///< 0: first in, first out
};

/// `asyncio::run` on a loop in virtual time.
template <class T>
T run(coro<T> main, options how = {}, std::source_location where = std::source_location::current()) {
    return asyncio::run(std::move(main), {.backend = loop_backend::sim, .seed = how.seed}, where);
}

/// What is between two hosts.
struct link {
    std::chrono::nanoseconds delay{};   ///< of everything, one way
    std::chrono::nanoseconds jitter{};  ///< up to so much more, by chance
    std::uint64_t bandwidth = 0;        ///< bytes per second, each way; 0: no bound
    /// The part of what is sent that gets lost: streams send it again 200 ms later, datagrams do not. Datagrams may
    /// overtake each other where there is jitter.
    double loss = 0;
};

/// The network of the loop that runs. Hosts are known by the names that are given to `start_server` and
/// `open_connection`; what connects is on "localhost". A name that was never mentioned here, nor listened on,
/// does not resolve. Everything is between two hosts, in both directions; a host may be both.
class network {
public:
    /// Throws `invalid_state_error` unless a loop in virtual time runs on this thread.
    network();

    /// Lets the name resolve, though nobody listens there: connecting is refused.
    void add_host(std::string_view name) const;

    /// Of links that have none of their own. At first nothing takes time.
    void set_links(const link& how) const;
    /// Of the link between hosts `a` and `b`.
    void set_link(std::string_view a, std::string_view b, const link& how) const;

    /// Nothing gets through until `heal`: data and connections wait, datagrams are lost. A connection that cannot be
    /// made fails with `ETIMEDOUT` after 127 s.
    void partition(std::string_view a, std::string_view b) const;
    /// Ends a partition: what waited gets through, after the delay of the link.
    void heal(std::string_view a, std::string_view b) const;

    /// Breaks every connection: both ends see a reset. Returns how many there were.
    std::size_t reset_connections(std::string_view a, std::string_view b) const;

private:
    sim_network& network_;
};

}  // namespace sim

}  // namespace tercet::asyncio
