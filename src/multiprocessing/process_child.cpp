// The copy has one thread, and no watcher: it dies with the fork server, which the kernel sees to (PR_SET_PDEATHSIG),
// and the server ends with its parent, whose pidfd it watches.
//
// It ends by std::exit, so that what the program, and tercet::threading, have to do at the end is done: functions
// registered with std::atexit run, threads that are not daemons are waited for, processes that it has started itself,
// too. The frames of the fork server below this one are never returned to. A copy of the program itself
// (start_method::fork) must not do all that, for what is to be ended there is its parent's: it waits for the processes
// that it has started, and ends at once.

#include "process_child.hpp"

#include <tercet/futures/errors.hpp>
#include <tercet/multiprocessing/connection.hpp>
#include <tercet/multiprocessing/remote_call.hpp>

#include <fmt/format.h>
#include <sys/prctl.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <iostream>

#include "bootstrap.hpp"
#include "end_process.hpp"
#include "output.hpp"

namespace tercet::multiprocessing {

namespace {

std::optional<child_order> order;

/// For people who look at standard error; whatever else it fails at, the exit code is there.
void report(const std::exception_ptr& error) noexcept {
    try {
        std::cout.flush();
        const std::string text = fmt::format("process '{}' (pid {}): {}\n", order->name, ::getpid(), describe(error));
        std::fwrite(text.data(), 1, text.size(), stderr);
    } catch (...) {  // NOLINT(bugprone-empty-catch): no memory for the text
    }
}

}  // namespace

const std::optional<child_order>& order_of_this_process() noexcept { return order; }

/// What a connection lets nobody else see.
class process_child {
public:
    explicit process_child(unique_fd socket) : line_(std::move(socket)) {}

    /// False: the parent has gone away before it has said what to do.
    bool receive() noexcept {
        try {
            const auto first = line_.receive_message({});
            decoder in(first.bytes.bytes());
            order = decode<child_order>(in);
            call_ = line_.receive_message({});
            line_.close();
            return true;
        } catch (...) {
            return false;
        }
    }

    int call() noexcept {
        try {
            decoder request(call_.bytes.bytes(), call_.descriptors);
            encoder ignored;
            run_request(request, ignored);
            return 0;
        } catch (...) {
            report(std::current_exception());
            return 1;
        }
    }

    void drop_call() noexcept { call_ = {}; }

private:
    connection line_;
    connection::received call_;
};

void run_process(unique_fd socket) {
    for (const int each : {SIGINT, SIGTTIN, SIGTTOU}) std::signal(each, SIG_DFL);
    sigset_t none;
    ::sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    process_child child(std::move(socket));
    if (!child.receive()) end_process(1);
    ::prctl(PR_SET_NAME, order->name.c_str());
    const int exit_code = child.call();
    child.drop_call();
    if (is_forked_from_program()) {
        end_own_processes();
        flush_output();
        end_process(exit_code);
    }
    std::exit(exit_code);
}

}  // namespace tercet::multiprocessing
