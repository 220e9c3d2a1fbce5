// The thread does for this process what the fork server does as one of its own (process_starter.cpp), over the same
// sockets, so pools and processes know no difference. It alone forks, and does nothing else: no lock of this module is
// held by the thread that is there in the copy, and workers can be told to die with the thread that forked them
// (PR_SET_PDEATHSIG), which lives as long as the program.
//
// The children are this program's own: it waits for each by its pidfd. Should the program reap one with a wait for all
// children, how that one ended is not known, and nothing else is lost; signals go to the pidfd, too, never to a
// stranger.
//
// The copy has what the program had: memory, descriptors, working directory. What must not be shared is parted with
// first: text in the buffers of standard output, which is the parent's to write; standard input; the program's handlers
// of signals, but for those of a crash. It runs neither the ends of static objects nor what was registered with
// std::atexit (process_child.cpp).
//
// In the child of a fork, by whomever, the object of the parent is left alone, with its mutex.

#include "fork_thread.hpp"

#include <fcntl.h>
#include <pthread.h>
#include <stdio_ext.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <csignal>
#include <cstddef>
#include <memory>
#include <mutex>
#include <optional>
#include <system_error>
#include <utility>

#include "bootstrap.hpp"
#include "detached_thread.hpp"
#include "end_process.hpp"
#include "one_per_process.hpp"
#include "pidfd.hpp"
#include "process_child.hpp"
#include "process_starter.hpp"
#include "socket.hpp"
#include "worker_process.hpp"

namespace tercet::multiprocessing {

namespace {

/// The functions that workers run have this stack.
std::size_t stack_size() noexcept {
    constexpr std::size_t usual = std::size_t{8} << 20U;
    rlimit limit{};
    if (::getrlimit(RLIMIT_STACK, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return usual;
    return std::max<std::size_t>(usual, limit.rlim_cur);
}

void reset_signal_handlers() noexcept {
    constexpr std::array of_a_crash{SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS};
    for (int signal = 1; signal <= SIGRTMAX; ++signal)
        if (std::ranges::find(of_a_crash, signal) == of_a_crash.end()) std::signal(signal, SIG_DFL);
}

void empty_standard_input() noexcept {
    ::__fpurge(stdin);
    const int nothing = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (nothing < 0) return;
    ::dup2(nothing, STDIN_FILENO);
    if (nothing != STDIN_FILENO) ::close(nothing);
}

class forking_thread final : public process_starter {
public:
    forking_thread(std::uint64_t token, unique_fd control, unique_fd parent)
        : process_starter(token, std::move(control), std::move(parent)) {
        ends_ = unique_fd(::epoll_create1(EPOLL_CLOEXEC));
        if (!ends_) throw std::system_error(errno, std::system_category(), "start by fork: epoll_create1");
    }

    /// All that it has started is gone when it is over.
    void run() noexcept {
        try {
            serve();
        } catch (...) {  // NOLINT(bugprone-empty-catch): no memory; the pools find out by their sockets
        }
        kill_children();
        for (const auto& [pid, each] : children_) {
            siginfo_t end{};
            while (::waitid(P_PIDFD, static_cast<id_t>(each.pidfd.get()), &end, WEXITED) < 0 && errno == EINTR) {
            }
        }
        end_lines();
    }

private:
    started start_child(const server_request& request, unique_fd& socket) override {
        const pid_t pid = ::fork();
        if (pid == 0) {
            try {
                become(request.kind, std::move(socket));
            } catch (...) {  // the way back is that of the starter, whose children are not ours
                end_process(1);
            }
        }
        if (pid < 0) return {.error = errno};
        unique_fd pidfd = open_pidfd(pid);
        int error = pidfd ? 0 : errno;
        epoll_event event{.events = EPOLLIN, .data = {.fd = pid}};
        if (error == 0 && ::epoll_ctl(ends_.get(), EPOLL_CTL_ADD, pidfd.get(), &event) != 0) error = errno;
        if (error != 0) {
            if (error != ESRCH) ::kill(pid, SIGKILL);  // ESRCH: it has ended, and was reaped
            while (::waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
            }
            return {.error = error};
        }
        return {.pid = pid, .pidfd = std::move(pidfd)};
    }

    [[noreturn]] void become(server_request_kind kind, unique_fd socket) {
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (::getppid() != pid_) end_process(1);
        note_forked_from_program(pid_);
        reset_signal_handlers();
        ::__fpurge(stdout);
        empty_standard_input();
        close_lines();
        if (kind == server_request_kind::start_process) {
            parent_.reset();
            run_process(std::move(socket));
        }
        std::signal(SIGINT, SIG_IGN);
        ::prctl(PR_SET_NAME, "tercet-worker");
        run_worker(std::move(socket), std::move(parent_));
    }

    void collect_children() override {
        std::array<epoll_event, 64> events{};
        const int count = ::epoll_wait(ends_.get(), events.data(), static_cast<int>(events.size()), 0);
        for (int i = 0; i < count; ++i) {
            const auto found = children_.find(events[static_cast<std::size_t>(i)].data.fd);
            if (found == children_.end()) continue;
            siginfo_t end{};
            rusage used{};
            if (::waitid(P_PIDFD, static_cast<id_t>(found->second.pidfd.get()), &end, WEXITED | WNOHANG | WNOWAIT) == 0)
                kill_what_is_left(found->first, end);
            // waitid() of the C library does not say what was used.
            const bool is_ours = ::syscall(SYS_waitid, P_PIDFD, found->second.pidfd.get(), &end, WEXITED, &used) == 0;
            // Closing it would not do, while a copy of this process has it, too.
            ::epoll_ctl(ends_.get(), EPOLL_CTL_DEL, found->second.pidfd.get(), nullptr);
            report_end(found, is_ours ? status_of(end) : lost_wait_status, used);
        }
    }

    static int status_of(const siginfo_t& end) noexcept {
        if (end.si_code == CLD_EXITED) return W_EXITCODE(end.si_status, 0);
        return W_EXITCODE(0, end.si_status) | (end.si_code == CLD_DUMPED ? WCOREFLAG : 0);
    }

    usage own_usage() const override { return {}; }  // that of the program is not the pools'
};

}  // namespace

struct fork_thread::life {
    life(std::uint64_t token, unique_fd control, unique_fd parent)
        : starter(std::in_place, token, std::move(control), std::move(parent)) {}

    static void* live(void* argument) {
        const auto mine = *std::unique_ptr<std::shared_ptr<life>>(static_cast<std::shared_ptr<life>*>(argument));
        ::prctl(PR_SET_NAME, "tercet-fork");
        mine->starter->run();
        mine->starter.reset();
        const std::lock_guard lock(mine->mutex);
        mine->is_over = true;
        mine->has_ended.notify_all();
        return nullptr;
    }
    bool has_come_to_its_end() {
        const std::lock_guard lock(mutex);
        return is_over;
    }
    void wait_for_its_end() {
        std::unique_lock lock(mutex);
        has_ended.wait(lock, [this] { return is_over; });
    }

    std::optional<forking_thread> starter;  // the thread's
    std::mutex mutex;
    std::condition_variable has_ended;
    bool is_over = false;
};

namespace {

[[gnu::constructor(101)]] void prepare_for_forks() { one_per_process<fork_thread>::prepare_for_forks(); }

}  // namespace

fork_thread& fork_thread::instance() { return one_per_process<fork_thread>::get(); }
fork_thread* fork_thread::instance_if_any() noexcept { return one_per_process<fork_thread>::get_if_any(); }

start_service::connection fork_thread::connect() {
    const std::lock_guard lock(mutex_);
    auto [ours, theirs] = make_socket_pair();
    set_nonblocking(ours.get());
    for (int attempt = 0; attempt < 2; ++attempt) {
        if (life_ && life_->has_come_to_its_end()) life_.reset();
        if (!life_) start();
        const char mark = 0;
        const auto status = send_record(control_.get(), &mark, sizeof mark, theirs.get());
        if (status == io_status::done) return {std::move(ours), token_, generation_};
        if (status == io_status::blocked)  // too many sockets are on their way at once
            throw std::system_error(EAGAIN, std::system_category(), "connect to the thread that forks");
        life_->wait_for_its_end();
    }
    throw std::system_error(EPIPE, std::system_category(), "connect to the thread that forks");
}

void fork_thread::start() {
    auto [ours, theirs] = make_socket_pair();
    unique_fd self = open_pidfd(::getpid());
    if (!self) throw std::system_error(errno, std::system_category(), "pidfd_open");
    std::uint64_t token = 0;
    while (::getrandom(&token, sizeof token, 0) < 0 && errno == EINTR) {
    }
    set_nonblocking(ours.get());  // a thread that stands still must not keep the mutex
    auto fresh = std::make_shared<life>(token, std::move(theirs), std::move(self));
    auto for_thread = std::make_unique<std::shared_ptr<life>>(fresh);
    start_detached_thread(&life::live, for_thread.get(), stack_size());
    for_thread.release();  // NOLINT(bugprone-unused-return-value): it is the thread's now
    life_ = std::move(fresh);
    control_ = std::move(ours);
    token_ = token;
    ++generation_;
}

start_service::ending fork_thread::end_of(std::uint64_t generation) {
    const std::lock_guard lock(mutex_);
    if (generation <= terminated_generation_) return {"terminate_all() was called", true};
    if (generation != generation_) return {"it was replaced", false};
    return {"it ran out of memory", false};
}

void fork_thread::note_answer(std::uint64_t) noexcept {}

void fork_thread::give_up(std::uint64_t) noexcept {}  // a thread cannot be killed

void fork_thread::terminate() noexcept {
    const std::lock_guard lock(mutex_);
    terminated_generation_ = generation_;
    if (!life_) return;
    ::shutdown(control_.get(), SHUT_RDWR);  // it kills its children, waits for them and ends
    life_->wait_for_its_end();
    life_.reset();
    control_.reset();
}

}  // namespace tercet::multiprocessing
