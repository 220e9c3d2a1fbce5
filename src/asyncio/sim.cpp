#include <tercet/asyncio/sim.hpp>
#include <tercet/futures/errors.hpp>

#include "asyncio/sim_poller.hpp"

namespace tercet::asyncio::sim {

namespace {

sim_network& network_of_running_loop() {
    event_loop& loop = get_running_loop();
    if (loop.backend() != loop_backend::sim)
        throw invalid_state_error(
            "sim::network: the running loop is not in virtual time; run the test by sim::run(...)");
    return static_cast<sim_poller&>(loop.sockets()).network();
}

}  // namespace

network::network() : network_(network_of_running_loop()) {}

void network::add_host(std::string_view name) const { network_.host(name); }

void network::set_links(const link& how) const { network_.set_links(how); }

void network::set_link(std::string_view a, std::string_view b, const link& how) const {
    network_.set_link(network_.host(a), network_.host(b), how);
}

void network::partition(std::string_view a, std::string_view b) const {
    network_.cut(network_.host(a), network_.host(b));
}

void network::heal(std::string_view a, std::string_view b) const { network_.heal(network_.host(a), network_.host(b)); }

std::size_t network::reset_connections(std::string_view a, std::string_view b) const {
    return network_.reset_connections(network_.host(a), network_.host(b));
}

}  // namespace tercet::asyncio::sim
