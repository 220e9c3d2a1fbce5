// A process starts as one of two:
//
//   ordinary   the variable is not set, or was meant for another process, which handed it down
//   in a role  the variable is "depth:parent:token:role:caller:method", the parent is ours, and its socket is in place;
//              the variable is removed before anything else runs, so that programs that workers start are ordinary
//
// The role is that of a fork server, whose copies become workers and processes, or that of a worker or process itself
// (start_method::spawn), which a fork server has started. With start_method::fork a copy of any process becomes one.
//
// The variable is read where the program's static objects are made already:
// from the interposed __libc_start_main (start_hook.cpp) or from guard(). Until then in_worker() reads the environment.
//
// A chain of pools in workers of pools ends at max_process_depth: the depth travels in the variable and is kept here,
// so that it also counts in a process whose hook does not work. There, the variable is still set when a pool is used,
// and that pool refuses to start anything.

#include "bootstrap.hpp"

#include <tercet/multiprocessing/errors.hpp>
#include <tercet/multiprocessing/guard.hpp>

#include <fmt/format.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <optional>

#include "default_start_method.hpp"
#include "end_process.hpp"
#include "fork_server_process.hpp"
#include "fork_server_protocol.hpp"
#include "spawned_child.hpp"

namespace tercet::multiprocessing {

namespace {

struct start_order {
    unsigned depth = 0;
    pid_t parent = 0;
    std::uint64_t token = 0;
    unsigned role = 0;
    pid_t caller = 0;
    std::uint32_t default_method = 0;
};

std::atomic<bool> has_start_hook{false};
std::atomic<bool> is_server_or_worker{false};
std::atomic<bool> is_copy_of_program{false};
std::atomic<unsigned> depth_here{0};
std::atomic<pid_t> caller_here{0};

/// Whether the process that the inherited pidfd stands for has ended.
bool is_parent_gone() noexcept {
    pollfd ended{inherited_parent_fd, POLLIN, 0};
    return ::poll(&ended, 1, 0) == 1 && (ended.revents & POLLNVAL) == 0;
}

std::optional<start_order> read_order() noexcept {
    const char* const value = std::getenv(start_variable);
    struct stat file {};
    if (!value || ::fstat(inherited_control_fd, &file) != 0 || !S_ISSOCK(file.st_mode)) return std::nullopt;
    start_order order;
    unsigned long long token = 0;
    if (std::sscanf(value, "%u:%d:%llx:%u:%d:%u", &order.depth, &order.parent, &token, &order.role, &order.caller,
                    &order.default_method) != 6)
        return std::nullopt;
    if (order.parent != ::getppid()) {
        // A program that a static object of a fork server started, unless our parent has ended already: then nobody is
        // left to serve, and the program's own main must not run in its place.
        if (!is_parent_gone()) return std::nullopt;
        end_process(0);
    }
    order.token = token;
    return order;
}

std::string value_of(const start_order& order) {
    return fmt::format("{}:{}:{:x}:{}:{}:{}", order.depth, order.parent, order.token, order.role, order.caller,
                       order.default_method);
}

}  // namespace

bool in_worker() noexcept { return is_server_or_worker.load(std::memory_order_relaxed) || read_order().has_value(); }

void guard(int, char**) {
    note_start_hook();
    serve_if_asked();
}

std::string start_value_of_server(std::uint64_t token) {
    return value_of({.depth = depth_here.load(std::memory_order_relaxed) + 1,
                     .parent = ::getpid(),
                     .token = token,
                     .role = static_cast<unsigned>(start_role::fork_server),
                     .caller = ::getpid(),
                     .default_method = default_start_method()});
}

std::string start_value_of_child(start_role role, std::uint32_t default_method) {
    return value_of({.depth = depth_here.load(std::memory_order_relaxed),
                     .parent = ::getpid(),
                     .role = static_cast<unsigned>(role),
                     .caller = calling_process(),
                     .default_method = default_method});
}

std::string why_no_start(const char* things, start_method method) {
    link_start_hook();
    if (const auto order = read_order(); order && !is_server_or_worker.load(std::memory_order_relaxed))
        return fmt::format(
            "this process was started as a fork server (depth {}), and uses {} before it serves: a static object must "
            "ask in_worker() before it does so, and a program linked with -static must call "
            "tercet::multiprocessing::guard(argc, argv) first in main",
            order->depth, things);
    if (method != start_method::fork && !has_start_hook.load(std::memory_order_relaxed))
        return "the program's start is not under control, so a new process would run main again: call "
               "tercet::multiprocessing::guard(argc, argv) as the first statement of main";
    if (const unsigned depth = depth_here.load(std::memory_order_relaxed); depth >= max_process_depth)
        return fmt::format("{} are nested {} deep, the limit: this process may not start workers", things, depth);
    return {};
}

void require_start_possible(start_method method) {
    if (const std::string reason = why_no_start("pools", method); !reason.empty())
        throw broken_process_pool("process_pool_executor: " + reason);
}

void serve_if_asked() {
    const auto order = read_order();
    if (!order || is_server_or_worker.exchange(true)) return;
    ::unsetenv(start_variable);
    depth_here.store(order->depth, std::memory_order_relaxed);
    caller_here.store(order->caller, std::memory_order_relaxed);
    inherit_default_start_method(order->default_method);
    if (order->role == static_cast<unsigned>(start_role::fork_server)) run_fork_server(order->token);
    run_spawned_child(static_cast<start_role>(order->role));
}

void note_forked_from_program(pid_t caller) noexcept {
    is_server_or_worker.store(true, std::memory_order_relaxed);
    is_copy_of_program.store(true, std::memory_order_relaxed);
    depth_here.fetch_add(1, std::memory_order_relaxed);
    caller_here.store(caller, std::memory_order_relaxed);
}

bool is_forked_from_program() noexcept { return is_copy_of_program.load(std::memory_order_relaxed); }

pid_t calling_process() noexcept { return caller_here.load(std::memory_order_relaxed); }

void note_start_hook() noexcept { has_start_hook.store(true, std::memory_order_relaxed); }

}  // namespace tercet::multiprocessing
