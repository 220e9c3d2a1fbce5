//   made --start--> running --the server says how it ended, or is gone--> over --close--> closed
//     \-------------------------------close----------------------------------------------^
//
// Each process has a line of its own to the fork server. Once that has said hello and started, the next thing to come
// on it is the end: so the line is the sentinel, readable from then on. What came is read under the mutex by whoever
// looks first; the line is then shut down, which keeps it readable, and tells the server that it is not needed any
// more. Waiting is done without the mutex: the line stays open until `close`, which needs the process to be over.
//
// Closing the line would make the server kill the process, so it stays open in the registry for as long as that runs.
// Signals go through the server too, which alone knows whether the pid still is that process.

#include "process_state.hpp"

#include <tercet/futures/errors.hpp>
#include <tercet/futures/fork_generation.hpp>
#include <tercet/multiprocessing/connection.hpp>
#include <tercet/multiprocessing/errors.hpp>

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <chrono>
#include <csignal>
#include <system_error>
#include <utility>

#include "bootstrap.hpp"
#include "default_start_method.hpp"
#include "descriptor_poll.hpp"
#include "fork_server_protocol.hpp"
#include "process_child.hpp"
#include "socket.hpp"
#include "start_service.hpp"

namespace tercet::multiprocessing {

namespace {

constexpr std::chrono::seconds start_patience(30);

}  // namespace

process_state::process_state(std::string name, bool daemon, std::optional<start_method> method, encoder request)
    : name_(std::move(name)),
      is_daemon_(daemon),
      method_(method),
      generation_(fork_generation()),
      request_(std::move(request)) {}

bool process_state::is_ours() const noexcept { return generation_ == fork_generation(); }

void process_state::require(const char* call) const {
    if (!is_ours())
        throw invalid_state_error(
            fmt::format("process '{}': {}: it belongs to the process that this one was forked from", name_, call));
    if (at_ == stage::closed) throw invalid_state_error(fmt::format("process '{}': {}: it is closed", name_, call));
}

void process_state::require_started(const char* call) const {
    require(call);
    if (at_ == stage::made) throw invalid_state_error(fmt::format("process '{}': {}: it was not started", name_, call));
}

std::optional<pid_t> process_state::pid() {
    const std::lock_guard lock(mutex_);
    require("pid");
    return at_ == stage::made ? std::nullopt : std::optional(pid_);
}

bool process_state::daemon() {
    const std::lock_guard lock(mutex_);
    require("daemon");
    return is_daemon_;
}

bool process_state::is_alive() {
    const std::lock_guard lock(mutex_);
    require("is_alive");
    look_for_end();
    return at_ == stage::running;
}

std::optional<int> process_state::exitcode() {
    const std::lock_guard lock(mutex_);
    require("exitcode");
    look_for_end();
    return at_ == stage::over ? std::optional(exitcode_) : std::nullopt;
}

int process_state::sentinel() {
    const std::lock_guard lock(mutex_);
    require_started("sentinel");
    return server_->get();
}

bool process_state::join(time_limit limit) {
    const auto deadline = limit.deadline();
    for (;;) {
        std::shared_ptr<unique_fd> line;
        {
            const std::lock_guard lock(mutex_);
            require_started("join");
            look_for_end();
            if (at_ == stage::over) return true;
            line = server_;
        }
        if (!is_ready_by(line->get(), POLLIN, deadline)) return false;
    }
}

void process_state::send_signal(int signal, const char* call) {
    const std::lock_guard lock(mutex_);
    require_started(call);
    look_for_end();
    if (at_ != stage::running) return;
    const server_request request{.kind = server_request_kind::send_signal,
                                 .signal = static_cast<std::uint32_t>(signal)};
    while (send_record(server_->get(), &request, sizeof request) == io_status::blocked)
        is_ready_by(server_->get(), POLLOUT, std::chrono::steady_clock::time_point::max());
}

void process_state::close() {
    const std::lock_guard lock(mutex_);
    if (at_ == stage::closed) return;
    require("close");
    look_for_end();
    if (at_ == stage::running)
        throw invalid_state_error(
            fmt::format("process '{}': close: it is alive (pid {}): terminate it or join it first", name_, pid_));
    at_ = stage::closed;
    request_ = encoder();
    server_.reset();
}

/// Reads what the server has said, if it has.
void process_state::look_for_end() {
    if (at_ != stage::running) return;
    server_event event;
    switch (receive_record(server_->get(), &event, sizeof event)) {
        case io_status::blocked:
            return;
        case io_status::done:
            if (event.kind == server_event_kind::exited)
                note_end(WIFSIGNALED(event.status) ? -WTERMSIG(event.status) : WEXITSTATUS(event.status));
            return;
        case io_status::closed:
            note_end(-SIGKILL);  // the server is gone, and the kernel kills what it has started
            return;
    }
}

void process_state::note_end(int exitcode) {
    exitcode_ = exitcode;
    at_ = stage::over;
    ::shutdown(server_->get(), SHUT_RDWR);
}

void process_state::start() {
    const std::lock_guard lock(mutex_);
    require("start");
    if (at_ != stage::made)
        throw invalid_state_error(fmt::format("process '{}': start: it was started already", name_));
    if (!method_) method_ = get_start_method();
    if (const std::string reason = why_no_start("processes", *method_); !reason.empty())
        throw process_start_error(fmt::format("process '{}': {}", name_, reason));
    unique_fd line_to_child = ask_for_process();
    if (!line_to_child) line_to_child = ask_for_process();  // the server was dying; there is a new one now
    if (!line_to_child)
        throw process_start_error(fmt::format("process '{}': start: the fork server has ended: {}", name_,
                                              start_service_for(*method_).end_of(server_generation_).text));
    auto descriptors = request_.take_descriptors();
    const auto give_back = [&] {  // it may be tried again
        server_.reset();          // which kills it
        request_.keep_descriptors(std::move(descriptors));
    };
    // A process that has died in the meantime is no error here: its exit code tells of it.
    try {
        connection line(std::move(line_to_child));
        encoder order;
        order(child_order{current_process().name, ::getpid(), name_, is_daemon_});
        line.send_message(0, order.buffer().bytes(), {}, {});
        line.send_message(0, request_.buffer().bytes(), descriptors, {});
    } catch (const std::system_error& e) {
        if (e.code() != std::error_code(EPIPE, std::system_category())) {
            give_back();
            throw;
        }
    } catch (...) {
        give_back();
        throw;
    }
    at_ = stage::running;
    request_ = encoder();
}

/// Has the server start the process, and returns the line over which that gets its call; nothing when the server ends
/// before it has done so.
unique_fd process_state::ask_for_process() {
    auto server = start_service_for(*method_).connect();
    auto [ours, theirs] = make_socket_pair();
    server_generation_ = server.generation;
    const bool is_fresh_start = method_ == start_method::spawn;
    const server_request request{
        .kind = is_fresh_start ? server_request_kind::spawn_process : server_request_kind::start_process,
        .start_method = default_start_method()};
    if (send_record(server.socket.get(), &request, sizeof request, theirs.get()) != io_status::done) return {};
    theirs.reset();
    const auto deadline = std::chrono::steady_clock::now() + start_patience;
    for (;;) {
        server_event event;
        switch (receive_record(server.socket.get(), &event, sizeof event)) {
            case io_status::blocked:
                if (is_ready_by(server.socket.get(), POLLIN, deadline)) break;
                start_service_for(*method_).give_up(server_generation_);
                throw process_start_error(fmt::format("process '{}': start: the fork server did not answer within {} s",
                                                      name_, start_patience.count()));
            case io_status::closed:
                start_service_for(*method_).end_of(server_generation_);  // waits for its end, and reaps it
                return {};
            case io_status::done:
                if (event.kind == server_event_kind::hello) {
                    start_service_for(*method_).note_answer(server_generation_);
                } else if (event.kind == server_event_kind::started) {
                    pid_ = event.pid;
                    server_ = std::make_shared<unique_fd>(std::move(server.socket));
                    return std::move(ours);
                } else if (event.kind == server_event_kind::start_failed) {
                    throw std::system_error(event.status, std::system_category(),
                                            fmt::format("process '{}': start: fork", name_));
                }
                break;
        }
    }
}

}  // namespace tercet::multiprocessing
