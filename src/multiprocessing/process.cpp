// The registry keeps the state of each process that was started, and with it the line that keeps the process alive,
// until somebody looks and finds that it has ended. It is never destroyed: objects of the program may outlive any
// order. In the child of a fork it is left alone, mutex and all, and a new one takes its place.

#include <tercet/futures/errors.hpp>
#include <tercet/multiprocessing/process.hpp>

#include <fmt/format.h>
#include <pthread.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <utility>

#include "process_child.hpp"
#include "process_state.hpp"

namespace tercet::multiprocessing {

namespace {

using namespace std::chrono_literals;

/// What daemons get for what they do at SIGTERM when their parent ends.
constexpr auto daemon_patience = 1s;

struct registry {
    std::mutex mutex;
    std::vector<std::shared_ptr<process_state>> started;
    std::uint64_t last_number = 0;
};

std::atomic<registry*> current{nullptr};

[[gnu::constructor(101)]] void prepare_for_forks() {
    ::pthread_atfork(nullptr, nullptr, [] { current.store(nullptr, std::memory_order_relaxed); });
}

registry& known() {
    registry* found = current.load(std::memory_order_acquire);
    if (!found) {
        auto fresh = std::make_unique<registry>();
        if (current.compare_exchange_strong(found, fresh.get(), std::memory_order_acq_rel)) found = fresh.release();
    }
    return *found;
}

std::vector<std::shared_ptr<process_state>> alive() {
    registry& processes = known();
    const std::lock_guard lock(processes.mutex);
    std::erase_if(processes.started, [](const auto& each) {
        try {
            return !each->is_alive();
        } catch (const invalid_state_error&) {
            return true;  // it is closed
        }
    });
    return processes.started;
}

std::string next_name() {
    registry& processes = known();
    const std::lock_guard lock(processes.mutex);
    const auto number = ++processes.last_number;
    const auto& own = order_of_this_process();
    return own && own->name.starts_with("Process-") ? fmt::format("{}:{}", own->name, number)
                                                    : fmt::format("Process-{}", number);
}

}  // namespace

void end_own_processes() noexcept {
    try {
        const auto left = alive();
        const auto for_each = [&left](bool daemons, auto does) {
            for (const auto& each : left) try {
                    if (each->daemon() == daemons) does(*each);
                } catch (...) {  // NOLINT(bugprone-empty-catch): closed meanwhile; the others count nevertheless
                }
        };
        for_each(true, [](process_state& daemon) { daemon.send_signal(SIGTERM, "terminate"); });
        const auto daemons_end = std::chrono::steady_clock::now() + daemon_patience;
        for_each(false, [](process_state& each) { each.join({}); });
        for_each(true, [daemons_end](process_state& daemon) {
            const auto left_to_them = daemons_end - std::chrono::steady_clock::now();
            daemon.join(std::max<std::chrono::steady_clock::duration>(left_to_them, std::chrono::nanoseconds(0)));
        });
    } catch (...) {  // NOLINT(bugprone-empty-catch): no memory; what is left ends with us
    }
}

std::string process_handle::name() const { return state_->name(); }
std::optional<pid_t> process_handle::pid() const { return state_->pid(); }
bool process_handle::daemon() const { return state_->daemon(); }
bool process_handle::is_alive() const { return state_->is_alive(); }
std::optional<int> process_handle::exitcode() const { return state_->exitcode(); }
bool process_handle::join(time_limit limit) const { return state_->join(limit); }
int process_handle::sentinel() const { return state_->sentinel(); }
void process_handle::terminate() const { state_->send_signal(SIGTERM, "terminate"); }
void process_handle::kill() const { state_->send_signal(SIGKILL, "kill"); }
void process_handle::interrupt() const { state_->send_signal(SIGINT, "interrupt"); }
void process_handle::close() const { state_->close(); }

process::process(process_options options, encoder request)
    : process_handle(std::make_shared<process_state>(options.name.empty() ? next_name() : std::move(options.name),
                                                     options.daemon, options.start_method, std::move(request))) {}

process& process::operator=(process&& other) noexcept {
    if (this == &other) return *this;
    end();
    state_ = std::move(other.state_);
    return *this;
}

process::~process() { end(); }

void process::start() {
    static constinit std::atomic<bool> is_registered{false};
    if (!is_registered.exchange(true)) std::atexit([] { end_own_processes(); });
    state_->start();
    alive();  // lets go of those that have ended
    registry& processes = known();
    const std::lock_guard lock(processes.mutex);
    processes.started.push_back(state_);
}

void process::end() noexcept {
    if (!state_ || !state_->is_ours()) return;
    try {
        if (state_->is_alive() && !state_->daemon()) state_->join({});
        alive();     // lets go of it, once it has ended
    } catch (...) {  // NOLINT(bugprone-empty-catch): it is closed
    }
}

std::vector<process_handle> active_children() {
    std::vector<process_handle> children;
    for (auto& each : alive()) children.emplace_back(each);
    return children;
}

process_identity current_process() {
    const auto& order = order_of_this_process();
    if (!order) return {"MainProcess", ::getpid(), false};
    return {order->name, ::getpid(), order->is_daemon};
}

std::optional<process_identity> parent_process() {
    const auto& order = order_of_this_process();
    if (!order) return std::nullopt;
    return process_identity{order->parent_name, order->parent_pid, false};
}

std::size_t cpu_count() noexcept {
    const long count = ::sysconf(_SC_NPROCESSORS_ONLN);
    return count > 0 ? static_cast<std::size_t>(count) : 1;
}

}  // namespace tercet::multiprocessing
