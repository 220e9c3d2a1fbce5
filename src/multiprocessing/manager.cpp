#include <tercet/futures/errors.hpp>
#include <tercet/futures/fork_generation.hpp>
#include <tercet/multiprocessing/manager.hpp>
#include <tercet/multiprocessing/pipe.hpp>
#include <tercet/multiprocessing/process.hpp>

#include <fmt/format.h>
#include <sys/random.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <mutex>
#include <system_error>

#include "manager_server.hpp"

namespace tercet::multiprocessing {

namespace {

using namespace std::chrono_literals;

/// For the destructor, which must end.
constexpr auto patience = 5s;

std::string random_key() {
    std::array<unsigned char, 32> bytes{};
    if (::getrandom(bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size()))
        throw std::system_error(errno, std::system_category(), "manager: getrandom");
    return {bytes.begin(), bytes.end()};
}

}  // namespace

struct manager::state {
    state(std::shared_ptr<const manager_link> made, multiprocessing::process started, connection to_it) noexcept
        : link(std::move(made)), child(std::move(started)), control(std::move(to_it)) {}

    const std::shared_ptr<const manager_link> link;
    multiprocessing::process child;
    connection control;
    const std::uint64_t generation = fork_generation();
    std::mutex mutex;  // of `control`

    bool is_ours() const noexcept { return generation == fork_generation(); }
    /// The process ends when this line does; a fork of this process may have a copy of it.
    void let_go() {
        const std::lock_guard guard(mutex);
        if (control.closed()) return;
        ::shutdown(control.fileno(), SHUT_RDWR);
        control.close();
    }
};

manager::manager(manager_options options) {
    auto link = std::make_shared<manager_link>();
    link->authkey = options.authkey ? *options.authkey : random_key();
    auto [here, there] = pipe();
    // A daemon: it must not hold up the end of a program that never destroys its manager. And no fork of this process,
    // which would have the other end of the line that tells it to go.
    multiprocessing::process child({.name = options.name, .daemon = true, .start_method = start_method::forkserver},
                                   serve_manager, there, link->authkey);
    child.start();
    there.close();
    try {
        link->address = here.recv<std::string>(options.start_timeout);
    } catch (const std::exception& e) {
        child.kill();
        child.join();
        const bool is_late = dynamic_cast<const timeout_error*>(&e) != nullptr;
        throw process_start_error(
            fmt::format("manager '{}' (pid {}): it did not begin to serve{}", options.name, child.pid().value_or(0),
                        is_late ? fmt::format(" within {} ms, its start_timeout", options.start_timeout.count())
                                : fmt::format(": {}", e.what())));
    }
    link->pid = child.pid().value_or(0);
    state_ = std::make_unique<state>(std::move(link), std::move(child), std::move(here));
}

manager::manager(manager&&) noexcept = default;

manager& manager::operator=(manager&& other) noexcept {
    if (this == &other) return *this;
    end();
    state_ = std::move(other.state_);
    return *this;
}

manager::~manager() { end(); }

const std::shared_ptr<const manager_link>& manager::link() const {
    if (!state_) throw invalid_state_error("manager: it was moved from");
    return state_->link;
}

const std::string& manager::address() const { return link()->address; }

process_handle manager::process() const {
    link();
    return state_->child;
}

void manager::shutdown(time_limit limit) {
    link();
    if (!state_->is_ours())
        throw invalid_state_error("manager: shutdown: it belongs to the process that this one was forked from");
    state_->let_go();
    if (!state_->child.join(limit))
        throw timeout_error(fmt::format("manager (pid {}): shutdown: it has not ended within {} s", state_->link->pid,
                                        std::chrono::duration<double>(*limit.duration()).count()));
}

void manager::end() noexcept {
    if (!state_ || !state_->is_ours()) return;
    try {
        state_->let_go();
        if (state_->child.join(patience)) return;
        state_->child.kill();
        state_->child.join();
    } catch (...) {  // NOLINT(bugprone-empty-catch): it ends with this process
    }
}

}  // namespace tercet::multiprocessing
