// States of a fetch:
//
//   queued --the limits have room--> running --libcurl--> complete
//      |                                |----its timer--> timed_out
//      '---------------------------------\---session gone, or its coroutine cancelled--> abandoned
//
// A queued fetch waits in the line of its host while that has no room, then in the line of all. Lines are ordered by
// arrival, and hand over their nodes, so that nothing is allocated and the first that may start is always in front.
//
// A fetch leaves the lines and libcurl when it ends, then its event is set; nothing of the group points at it any more.
// All of it happens on the loop's thread, and never inside a callback of libcurl, which may not be called from there.
//
// The limits are ours: libcurl's own count connections, its waiting transfers do not time out, and one that waits for a
// busy host stops those behind it.
//
// The group knows its loop only while fetches are under way. What is left then are open connections that nobody
// watches, so a session may outlive its loop and go on with the next.

#include <tercet/futures/errors.hpp>
#include <tercet/http/errors.hpp>

#include <http/transfer_group.hpp>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <stdexcept>
#include <utility>

namespace tercet::http {

namespace {

constexpr std::size_t max_spare_transfers = 256;
constexpr std::size_t max_idle_connections = 10'000;

std::size_t checked_limit(std::size_t limit) {
    if (limit == 0) throw std::invalid_argument("client_session: a limit of 0 lets nothing pass; use http::unlimited");
    return limit;
}

}  // namespace

transfer_group::fetch::fetch(transfer_group& group, request wanted)
    : group_(group), transfer_(group.take_transfer()), number_(group.next_number_++) {
    if (group.is_closed_) throw invalid_state_error("client_session: fetch after its end");
    transfer_->prepare(std::move(wanted), group.defaults_);
    if (transfer_->timeout().count() == 0) transfer_->fail_for_time();
    group.add(*this);
}

transfer_group::fetch::~fetch() {
    if (line_) {
        group_.end(*this, state::abandoned);
        group_.start_queued();
    }
    group_.keep_transfer(std::move(transfer_));
}

void transfer_group::fetch::move_to(line& to) noexcept {
    if (line_) node_ = line_->extract(number_);
    to.insert(std::move(node_));
    line_ = &to;
}

response transfer_group::fetch::take() {
    if (state_ == state::timed_out) transfer_->fail_for_time();
    if (state_ == state::abandoned) transfer_->fail("the client_session was destroyed before the answer was complete");
    return transfer_->finish(code_);
}

transfer_group::transfer_group(client_session_options options)
    : defaults_{.headers = std::move(options.headers), .user_agent = std::move(options.user_agent)},
      limit_(checked_limit(options.limit)),
      limit_per_host_(checked_limit(options.limit_per_host)),
      multi_(make_multi()) {
    check_defaults(defaults_);
    curl_multi_setopt(multi_.get(), CURLMOPT_SOCKETFUNCTION, &transfer_group::on_socket);
    curl_multi_setopt(multi_.get(), CURLMOPT_SOCKETDATA, static_cast<void*>(this));
    curl_multi_setopt(multi_.get(), CURLMOPT_TIMERFUNCTION, &transfer_group::on_timer);
    curl_multi_setopt(multi_.get(), CURLMOPT_TIMERDATA, static_cast<void*>(this));
    curl_multi_setopt(multi_.get(), CURLMOPT_MAXCONNECTS, static_cast<long>(std::min(limit_, max_idle_connections)));
}

void transfer_group::close() noexcept {
    is_closed_ = true;
    end_all(fetch::state::abandoned);
    // Its end closes the idle connections; fetches that have not yet taken their error hold the group a little longer.
    spare_.clear();
    multi_.reset();
}

std::unique_ptr<transfer> transfer_group::take_transfer() {
    if (spare_.empty()) return std::make_unique<transfer>();
    std::unique_ptr<transfer> taken = std::move(spare_.back());
    spare_.pop_back();
    return taken;
}

void transfer_group::keep_transfer(std::unique_ptr<transfer> used) noexcept try {
    if (!is_closed_ && spare_.size() < max_spare_transfers) spare_.push_back(std::move(used));
} catch (const std::bad_alloc&) {  // NOLINT(bugprone-empty-catch): one spare handle less
}

void transfer_group::add(fetch& added) {
    bind_to_running_loop();
    try {
        line made{{added.number_, &added}};
        added.node_ = made.extract(made.begin());
        if (std::isfinite(added.transfer_->timeout().count()))
            added.timer_ = loop_->call_later(added.transfer_->timeout(), [this, &added] {
                end(added, fetch::state::timed_out);
                start_queued();
            });
        if (limit_per_host_ != unlimited) added.host_ = &hosts_[added.transfer_->authority()];
    } catch (...) {
        added.timer_.cancel();
        unbind_when_idle();
        throw;
    }
    ++under_way_;
    added.move_to(added.host_ ? added.host_->waiting : queued_);
    if (added.host_) admit_next(*added.host_);
    start_queued();
}

void transfer_group::admit_next(host& where) noexcept {
    if (where.waiting.empty() || where.admitted == limit_per_host_) return;
    ++where.admitted;
    where.waiting.begin()->second->move_to(queued_);
}

void transfer_group::start_queued() noexcept {
    while (!queued_.empty() && running_.size() < limit_) start(*queued_.begin()->second);
}

void transfer_group::start(fetch& queued) noexcept {
    CURL* const handle = queued.transfer_->handle();
    queued.state_ = fetch::state::running;
    queued.move_to(running_);
    CURLcode code = curl_easy_setopt(handle, CURLOPT_PRIVATE, static_cast<void*>(&queued));
    if (code == CURLE_OK && curl_multi_add_handle(multi_.get(), handle) != CURLM_OK) code = CURLE_FAILED_INIT;
    if (code != CURLE_OK) end(queued, fetch::state::complete, code);
}

void transfer_group::end(fetch& ended, fetch::state how, CURLcode code) noexcept {
    if (ended.state_ == fetch::state::running) curl_multi_remove_handle(multi_.get(), ended.transfer_->handle());
    --under_way_;
    line& left = *std::exchange(ended.line_, nullptr);
    ended.node_ = left.extract(ended.number_);
    if (ended.host_ && &left != &ended.host_->waiting) {
        --ended.host_->admitted;
        admit_next(*ended.host_);
        if (ended.host_->admitted == 0) hosts_.erase(ended.transfer_->authority());
    }
    ended.state_ = how;
    ended.code_ = code;
    ended.timer_.cancel();
    ended.ended_.set();
    unbind_when_idle();
}

void transfer_group::end_all(fetch::state how, CURLcode code) noexcept {
    while (!queued_.empty() || !running_.empty())
        end(*(queued_.empty() ? running_ : queued_).begin()->second, how, code);
}

void transfer_group::bind_to_running_loop() {
    asyncio::event_loop& running = asyncio::get_running_loop();
    if (loop_ && loop_ != &running)
        throw invalid_state_error("client_session: it has fetches under way on another loop; use one session for each");
    loop_ = &running;
}

void transfer_group::unbind_when_idle() noexcept {
    if (under_way_ > 0) return;
    timer_.cancel();
    timer_ = {};
    loop_ = nullptr;
}

int transfer_group::on_socket(CURL*, curl_socket_t descriptor, int what, void* self, void*) noexcept try {
    static_cast<transfer_group*>(self)->watch(descriptor, what);
    return 0;
} catch (const std::exception&) {
    return -1;  // libcurl gives up, and `act` hears of it
}

int transfer_group::on_timer(CURLM*, long milliseconds, void* self) noexcept try {
    static_cast<transfer_group*>(self)->set_timer(milliseconds);
    return 0;
} catch (const std::exception&) {
    return -1;
}

void transfer_group::watch(int descriptor, int what) {
    const int wanted = what == CURL_POLL_REMOVE ? 0 : what;
    const auto place = watched_.try_emplace(descriptor, 0).first;
    const int changed = place->second ^ wanted;
    place->second = wanted;
    if (wanted == 0) watched_.erase(place);
    if (!loop_) return;
    if (changed & CURL_POLL_IN) {
        if (wanted & CURL_POLL_IN)
            loop_->add_reader(descriptor, [this, descriptor] { act(descriptor, CURL_CSELECT_IN); });
        else
            loop_->remove_reader(descriptor);
    }
    if (changed & CURL_POLL_OUT) {
        if (wanted & CURL_POLL_OUT)
            loop_->add_writer(descriptor, [this, descriptor] { act(descriptor, CURL_CSELECT_OUT); });
        else
            loop_->remove_writer(descriptor);
    }
}

void transfer_group::set_timer(long milliseconds) {
    timer_.cancel();
    timer_ = {};
    if (milliseconds < 0 || !loop_) return;
    timer_ = loop_->call_later(std::chrono::milliseconds(milliseconds), [this] { act(CURL_SOCKET_TIMEOUT, 0); });
}

void transfer_group::act(curl_socket_t descriptor, int events) noexcept {
    int running = 0;
    if (curl_multi_socket_action(multi_.get(), descriptor, events, &running) != CURLM_OK)
        return end_all(fetch::state::complete, CURLE_ABORTED_BY_CALLBACK);
    int left = 0;
    while (const CURLMsg* const message = curl_multi_info_read(multi_.get(), &left)) {
        if (message->msg != CURLMSG_DONE) continue;
        const CURLcode code = message->data.result;
        char* owner = nullptr;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &owner);
        end(*static_cast<fetch*>(static_cast<void*>(owner)), fetch::state::complete, code);
    }
    start_queued();
}

}  // namespace tercet::http
