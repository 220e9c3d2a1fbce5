#include <tercet/http/server.hpp>

#include <fmt/format.h>
#include <http/server_state.hpp>

#include <utility>

namespace tercet::http {

server::server(server_options options) : state_(std::make_shared<server_state>(options)) {}

server::~server() {
    if (state_) state_->drop();
}

void server::route(std::string method, std::string_view pattern, handler what) {
    state_->routes.add(std::move(method), pattern, std::move(what));
}

asyncio::coro<void> server::start(std::string host, std::uint16_t port) {
    return server_state::start(state_, std::move(host), port);
}

std::uint16_t server::port() const { return state_->listener().port(); }

std::string server::url(std::string_view path) const {
    return fmt::format("http://{}{}", state_->listener().addresses().front().to_string(), path);
}

std::size_t server::connection_count() const noexcept { return state_->connection_count(); }

asyncio::coro<std::size_t> server::close(seconds grace) { return server_state::close(state_, grace); }

}  // namespace tercet::http
