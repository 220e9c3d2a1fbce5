#include <tercet/asyncio/event.hpp>
#include <tercet/futures/errors.hpp>
#include <tercet/http/client_session.hpp>

#include <http/transfer_group.hpp>

#include <utility>

namespace tercet::http {

namespace {

/// Holds the group, so that a fetch may outlive its session.
asyncio::coro<response> fetch_in(std::shared_ptr<transfer_group> group, request wanted) {
    if (!group) throw invalid_state_error("client_session: it was moved from");
    transfer_group::fetch fetch(*group, std::move(wanted));
    co_await fetch.ended().wait();
    co_return fetch.take();
}

}  // namespace

client_session::client_session(client_session_options options)
    : group_(std::make_shared<transfer_group>(std::move(options))) {}

client_session::client_session(client_session&&) noexcept = default;

client_session& client_session::operator=(client_session&& other) noexcept {
    std::swap(group_, other.group_);
    return *this;
}

client_session::~client_session() {
    if (group_) group_->close();
}

asyncio::coro<response> client_session::fetch(request wanted) { return fetch_in(group_, std::move(wanted)); }

asyncio::coro<response> client_session::get(std::string url, request_options options) {
    return fetch(make_request("GET", std::move(url), {}, std::move(options)));
}

asyncio::coro<response> client_session::post(std::string url, std::string body, request_options options) {
    return fetch(make_request("POST", std::move(url), std::move(body), std::move(options)));
}

}  // namespace tercet::http
