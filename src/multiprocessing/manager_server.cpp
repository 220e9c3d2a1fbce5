// One thread watches: the listener, the line to who has started the process, the lines of clients, and the pipes that
// keep objects. It never waits for anything else. A thread for each client proves who that is, reads a call, makes it,
// and answers, by turns. One more destroys objects, whose destructors may take their time, and may be clients.
//
// An object is kept by a pipe: the end that can be written to travels in every proxy, and nobody writes. When the
// kernel says that it is open nowhere any more, neither in a process nor in a message under way, the object goes; a
// call that is in it meanwhile keeps it to its end.
//
// A process that is forked here leaves the sockets of clients alone: else the death of a manager would not be seen
// while such a process lives, nor that of a client by its manager.
//
// What a client sends is trusted once the client has proved the key: it may call what this program has as a remote
// function. Bytes that are no call get an error; a stream that makes no sense costs the client its line.

#include "manager_server.hpp"

#include <tercet/multiprocessing/errors.hpp>
#include <tercet/multiprocessing/remote_call.hpp>
#include <tercet/multiprocessing/remote_exception.hpp>

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <exception>
#include <iostream>
#include <memory>
#include <new>
#include <system_error>
#include <utility>
#include <vector>

#include "authentication.hpp"
#include "detached_thread.hpp"
#include "end_process.hpp"
#include "line_address.hpp"
#include "manager_line.hpp"
#include "served_client.hpp"

namespace tercet::multiprocessing {

namespace {

using namespace std::chrono_literals;

/// How long a client may take to prove itself.
constexpr auto answer_patience = 5s;

// What is watched: objects and clients by their numbers, which begin behind these.
constexpr std::uint64_t control_key = 0;
constexpr std::uint64_t listener_key = 1;
constexpr std::uint64_t first_number = 2;

manager_server* current_server = nullptr;

/// As many descriptors as this process may have: each object and each client costs one.
void raise_descriptor_limit() noexcept {
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
    limit.rlim_cur = limit.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace

manager_server::manager_server(connection control, std::string authkey)
    : control_(std::move(control)),
      authkey_(std::move(authkey)),
      watched_(::epoll_create1(EPOLL_CLOEXEC)),
      last_number_(first_number) {
    if (!watched_) throw std::system_error(errno, std::system_category(), "manager: epoll_create1");
    watch(control_.fileno(), EPOLLIN, control_key);
    watch(listener_.fileno(), EPOLLIN, listener_key);
}

manager_server* manager_server::instance() noexcept { return current_server; }

void manager_server::watch(int fd, std::uint32_t events, std::uint64_t key) {
    epoll_event event{};
    event.events = events;
    event.data.u64 = key;
    if (::epoll_ctl(watched_.get(), EPOLL_CTL_ADD, fd, &event) != 0)
        throw std::system_error(errno, std::system_category(), "manager: epoll_ctl");
}

void manager_server::run() {
    current_server = this;
    sockets_ = {control_.fileno(), listener_.fileno()};
    prepare_for_forks();
    start_detached_thread(
        [](void* server) -> void* {
            ::pthread_setname_np(::pthread_self(), "tercet-objects");
            static_cast<manager_server*>(server)->destroy_objects();
        },
        this);
    control_.send(listener_.address());
    std::array<epoll_event, 64> events{};
    for (;;) {
        const int count = ::epoll_wait(watched_.get(), events.data(), static_cast<int>(events.size()), -1);
        for (int i = 0; i < count; ++i) {
            const std::uint64_t key = events[static_cast<std::size_t>(i)].data.u64;
            if (key == control_key) {
                end();
            } else if (key == listener_key) {
                accept_clients();
            } else {
                end_client(key);
                drop_object(key);
            }
        }
    }
}

void manager_server::prepare_for_forks() {
    ::pthread_atfork([] { current_server->mutex_.lock(); }, [] { current_server->mutex_.unlock(); },
                     [] {
                         manager_server& server = *current_server;
                         server.leave_sockets();
                         server.mutex_.unlock();
                     });
}

void manager_server::leave_sockets() noexcept {
    const int nothing = ::open("/dev/null", O_RDWR | O_CLOEXEC);
    if (nothing < 0) return;
    for (const int each : sockets_) ::dup3(nothing, each, O_CLOEXEC);
    ::close(nothing);
    sockets_.clear();
}

/// A socket that a fork leaves to this process. Between its birth and its end no process forks that does not know it.
class manager_server::line_of_client {
public:
    /// The next that waits; `is_open` says whether there was one, and errno why not.
    explicit line_of_client(manager_server& server) : server_(server) {
        const std::lock_guard guard(server.mutex_);
        unique_fd socket(::accept4(server.listener_.fileno(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
        if (!socket) return;
        connection accepted(std::move(socket));
        server.sockets_.insert(accepted.fileno());
        line_ = std::move(accepted);
    }
    line_of_client(const line_of_client&) = delete;
    line_of_client& operator=(const line_of_client&) = delete;
    ~line_of_client() {
        if (!is_open()) return;
        const std::lock_guard guard(server_.mutex_);
        server_.sockets_.erase(line_.fileno());
        line_.close();
    }

    bool is_open() const noexcept { return !line_.closed(); }
    connection& line() noexcept { return line_; }
    void serve() noexcept { server_.serve(line_); }

private:
    manager_server& server_;
    connection line_;
};

void manager_server::accept_clients() {
    for (;;) {
        auto next = std::make_unique<line_of_client>(*this);
        if (!next->is_open()) {
            if (errno == EINTR || errno == ECONNABORTED) continue;
            if (errno != EAGAIN) ::poll(nullptr, 0, 10);  // no descriptor: who asks waits a little longer
            return;
        }
        if (!is_of_this_user(next->line().fileno())) continue;
        try {
            start_detached_thread(
                [](void* argument) -> void* {
                    const std::unique_ptr<line_of_client> mine(static_cast<line_of_client*>(argument));
                    mine->serve();
                    return nullptr;
                },
                next.get());
            static_cast<void>(next.release());
        } catch (const std::system_error&) {  // NOLINT(bugprone-empty-catch): the client is told by the end of its line
        }
    }
}

void manager_server::serve(connection& line) noexcept try {
    ::pthread_setname_np(::pthread_self(), "tercet-client");
    welcome_client(line, authkey_, time_limit(answer_patience).deadline());
    std::shared_ptr<served::client> client;
    {
        const std::lock_guard guard(mutex_);
        client = std::make_shared<served::client>(last_number_++, line.fileno());
        clients_.emplace(client->number(), client);
    }
    served::client::set_current(client.get());
    try {
        watch(line.fileno(), EPOLLRDHUP | EPOLLET, client->number());
        while (answer_call(line)) {
        }
    } catch (...) {  // NOLINT(bugprone-empty-catch): the line has ended, or makes no sense any more
    }
    end_client(client->number());
    ::epoll_ctl(watched_.get(), EPOLL_CTL_DEL, line.fileno(), nullptr);
    ::shutdown(line.fileno(), SHUT_RDWR);
} catch (...) {  // NOLINT(bugprone-empty-catch): a stranger, or no memory: the line ends
}

namespace {

/// Throws `client_is_gone` when the line has ended or makes no sense any more.
manager_line::message receive_call(connection& line) {
    manager_line::message call;
    try {
        call = manager_line::receive(line);
    } catch (const std::bad_alloc&) {
        throw;
    } catch (...) {
        throw served::client_is_gone();
    }
    if (call.type != manager_line::call_type) throw served::client_is_gone();
    return call;
}

}  // namespace

bool manager_server::answer_call(connection& line) {
    manager_line::message call;
    encoder answer;
    try {
        call = receive_call(line);
        answer.write_raw(manager_status::result);
        decoder in(call.bytes.bytes(), call.descriptors);
        run_request(in, answer);
    } catch (const served::client_is_gone&) {
        return false;
    } catch (...) {  // also that there was no memory for the call
        answer = encoder();
        answer.write_raw(manager_status::error);
        encode_exception(answer, std::current_exception());
    }
    call = {};  // what came with it is not needed any more when the client hears of the end
    manager_line::send(line, manager_line::answer_type, answer);
    return true;
}

void manager_server::end_client(std::uint64_t number) noexcept {
    std::map<std::uint64_t, std::shared_ptr<served::client>>::node_type gone;
    {
        const std::lock_guard guard(mutex_);
        gone = clients_.extract(number);
    }
    if (!gone.empty()) gone.mapped()->go();
}

detail::object_handle manager_server::keep(std::shared_ptr<detail::managed_object> object) {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC | O_NONBLOCK) != 0)
        throw std::system_error(errno, std::system_category(), "manager: pipe2");
    unique_fd here(ends[0]);
    unique_fd there(ends[1]);
    const std::lock_guard guard(mutex_);
    const std::uint64_t number = last_number_++;
    const int watched = here.get();
    const auto place = objects_.emplace(number, kept_object{object, std::move(here)}).first;
    try {
        watch(watched, 0, number);  // its other end is closed: EPOLLHUP
    } catch (...) {
        objects_.erase(place);
        throw;
    }
    return {number, std::move(there)};
}

std::shared_ptr<detail::managed_object> manager_server::find(std::uint64_t number) {
    const std::lock_guard guard(mutex_);
    const auto found = objects_.find(number);
    return found == objects_.end() ? nullptr : found->second.object;
}

void manager_server::drop_object(std::uint64_t number) noexcept {
    const std::lock_guard guard(mutex_);
    auto gone = objects_.extract(number);
    if (gone.empty()) return;
    // Closing it would not do, while a process that was forked here has it, too.
    ::epoll_ctl(watched_.get(), EPOLL_CTL_DEL, gone.mapped().anchor.get(), nullptr);
    dropped_.push_back(std::move(gone.mapped().object));
    has_dropped_.notify_one();
}

void manager_server::destroy_objects() noexcept {
    for (std::vector<std::shared_ptr<detail::managed_object>> mine;; mine.clear()) {
        std::unique_lock lock(mutex_);
        has_dropped_.wait(lock, [this] { return !dropped_.empty(); });
        mine.swap(dropped_);
    }
}

void manager_server::end() noexcept {
    std::map<std::uint64_t, std::shared_ptr<served::client>> clients;
    std::map<std::uint64_t, kept_object> objects;
    std::vector<std::shared_ptr<detail::managed_object>> dropped;
    {
        const std::lock_guard guard(mutex_);
        sockets_.erase(listener_.fileno());
        listener_.close();
        clients = clients_;
        objects.swap(objects_);
        dropped.swap(dropped_);
    }
    for (const auto& [number, each] : clients) each->go();
    dropped.clear();
    objects.clear();
    std::cout.flush();
    std::fflush(nullptr);
    end_process(0);
}

namespace detail {

object_handle keep_object(std::shared_ptr<managed_object> object) {
    if (!current_server) throw decode_error("manager: this process is none");
    return current_server->keep(std::move(object));
}

std::shared_ptr<managed_object> find_object(std::uint64_t number, const std::type_info& type) {
    auto found = current_server ? current_server->find(number) : nullptr;
    if (!found) throw decode_error(fmt::format("manager: there is no object {}", number));
    if (found->type != type) throw decode_error(fmt::format("manager: object {} is of another type", number));
    return found;
}

}  // namespace detail

void serve_manager(connection control, std::string authkey) {
    std::signal(SIGINT, SIG_IGN);
    raise_descriptor_limit();
    // Never destroyed: its threads may go on to the very end of the process.
    auto* const server = new manager_server(std::move(control), std::move(authkey));
    server->run();
}

}  // namespace tercet::multiprocessing
