// A process that was forked shares the sockets of its parent's sessions. Whoever wrote to them, or only took leave of a
// TLS peer, would disturb the other; so a session that finds itself in another process than the one that filled it
// starts anew and leaves the old handle alone, unclosed.

#include <tercet/futures/errors.hpp>
#include <tercet/http/session.hpp>

#include <http/transfer.hpp>
#include <unistd.h>

#include <utility>

namespace tercet::http {

namespace {

session& session_of_this_thread() {
    thread_local session own;
    return own;
}

}  // namespace

session::session(session_options options)
    : options_(std::move(options)), transfer_(std::make_unique<transfer>()), owner_process_(::getpid()) {
    check_defaults(options_);
}

session::session(session&&) noexcept = default;

session& session::operator=(session&& other) noexcept {
    std::swap(options_, other.options_);
    std::swap(transfer_, other.transfer_);
    std::swap(owner_process_, other.owner_process_);
    return *this;
}

session::~session() {
    if (transfer_ && owner_process_ != ::getpid()) transfer_->abandon();
}

response session::fetch(request wanted) {
    if (!transfer_) throw invalid_state_error("session: it was moved from");
    if (owner_process_ != ::getpid()) {
        transfer_->abandon();
        transfer_ = std::make_unique<transfer>();
        owner_process_ = ::getpid();
    }
    const bool has_time = wanted.timeout.count() != 0;
    transfer_->prepare(std::move(wanted), options_);
    if (!has_time) transfer_->fail_for_time();
    transfer_->limit_time();
    return transfer_->finish(curl_easy_perform(transfer_->handle()));
}

response session::get(std::string url, request_options options) {
    return fetch(make_request("GET", std::move(url), {}, std::move(options)));
}

response session::post(std::string url, std::string body, request_options options) {
    return fetch(make_request("POST", std::move(url), std::move(body), std::move(options)));
}

response fetch(request wanted) { return session_of_this_thread().fetch(std::move(wanted)); }

response get(std::string url, request_options options) {
    return session_of_this_thread().get(std::move(url), std::move(options));
}

response post(std::string url, std::string body, request_options options) {
    return session_of_this_thread().post(std::move(url), std::move(body), std::move(options));
}

}  // namespace tercet::http
