// A name is an abstract Unix socket, which the kernel frees with the process that listens on it: a creator that is
// killed leaves nothing, and no tracker is needed that could be killed as well. Two sockets for each name: who connects
// to one is sent the memfd, who connects to the other has the name taken away. Neither has to say anything, so nobody
// can keep the thread waiting. Both sides check by the kernel that the other has the same user.
//
// Names with their user's number, so that users do not get into each other's way.

#include "name_server.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstring>
#include <system_error>
#include <utility>

#include "detached_thread.hpp"
#include "socket.hpp"

namespace tercet::multiprocessing {

namespace {

constexpr int patience_seconds = 10;
constexpr int backlog = 64;

[[noreturn]] void throw_error(int error, const std::string& name) {
    throw std::system_error(error, std::system_category(), fmt::format("shared_memory '{}'", name));
}

struct address {
    sockaddr_un name{};
    socklen_t size = 0;
};

address address_of(const char* purpose, const std::string& name) {
    const std::string text = fmt::format("tercet-{}/{}/{}", purpose, ::geteuid(), name);
    address made;
    made.name.sun_family = AF_UNIX;
    std::memcpy(&made.name.sun_path[1], text.data(), std::min(text.size(), sizeof made.name.sun_path - 1));
    made.size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + text.size());
    return made;
}

unique_fd make_socket(const std::string& name) {
    unique_fd made(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (!made) throw_error(errno, name);
    return made;
}

unique_fd listen_at(const char* purpose, const std::string& name) {
    unique_fd made = make_socket(name);
    const address here = address_of(purpose, name);
    if (::bind(made.get(), reinterpret_cast<const sockaddr*>(&here.name), here.size) != 0)
        throw_error(errno == EADDRINUSE ? EEXIST : errno, name);
    if (::listen(made.get(), backlog) != 0) throw_error(errno, name);
    set_nonblocking(made.get());
    return made;
}

bool is_same_user(int socket) {
    ucred peer{};
    socklen_t size = sizeof peer;
    return ::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && peer.uid == ::geteuid();
}

/// Connects and waits for the one byte of the answer.
void ask(const char* purpose, const std::string& name, unique_fd* passed) {
    const unique_fd asking = make_socket(name);
    const address there = address_of(purpose, name);
    const timeval patience{patience_seconds, 0};
    ::setsockopt(asking.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    ::setsockopt(asking.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    while (::connect(asking.get(), reinterpret_cast<const sockaddr*>(&there.name), there.size) != 0)
        if (errno != EINTR) throw_error(errno == ECONNREFUSED ? ENOENT : errno == EAGAIN ? ETIMEDOUT : errno, name);
    if (!is_same_user(asking.get())) throw_error(EACCES, name);
    char answer = 0;
    switch (receive_record(asking.get(), &answer, sizeof answer, passed)) {
        case io_status::done:
            return;
        case io_status::blocked:
            throw_error(ETIMEDOUT, name);
        case io_status::closed:
            throw_error(ENOENT, name);
    }
}

/// After an accept that failed: throws when somebody is left waiting, because there is no descriptor for him.
void check_all_accepted() {
    if (errno != EAGAIN) throw std::system_error(errno, std::system_category(), "accept4");
}

void reply(int socket, int passed) noexcept {
    const char answer = 1;
    send_record(socket, &answer, sizeof answer, passed);
}

}  // namespace

name_server& name_server::instance() {
    static auto* const server = new name_server;  // never destroyed: static handles may outlive any order
    return *server;
}

void name_server::prepare_for_forks() {
    ::pthread_atfork([] { instance().mutex_.lock(); }, [] { instance().mutex_.unlock(); },
                     [] {
                         instance().forget_all();
                         instance().mutex_.unlock();
                     });
}

namespace {

// Behind the segments (shared_segment.cpp), which must be free again in the child: there some are destroyed.
[[gnu::constructor(102)]] void prepare_for_forks() { name_server::prepare_for_forks(); }

}  // namespace

std::uint64_t name_server::add(const std::string& name, std::shared_ptr<shared_segment> segment) {
    published fresh{
        .segment = std::move(segment), .finds = listen_at("find", name), .unlinks = listen_at("unlink", name)};
    const std::lock_guard guard(mutex_);
    make_ready();
    const std::uint64_t number = last_number_ + 1;
    watch(fresh.finds.get(), number);
    watch(fresh.unlinks.get(), number);
    all_.emplace(number, std::move(fresh));
    return last_number_ = number;
}

void name_server::make_ready() {
    if (!waited_) {
        emptied_ = unique_fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
        waited_ = unique_fd(::epoll_create1(EPOLL_CLOEXEC));
        if (!emptied_ || !waited_) {
            waited_.reset();
            throw std::system_error(errno, std::system_category(), "shared_memory: epoll_create1");
        }
        watch(emptied_.get(), 0);
    }
    if (!runs_) start_thread();
}

void name_server::watch(int fd, std::uint64_t number) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.u64 = number;
    if (::epoll_ctl(waited_.get(), EPOLL_CTL_ADD, fd, &event) != 0)
        throw std::system_error(errno, std::system_category(), "shared_memory: epoll_ctl");
}

bool name_server::remove(std::uint64_t number) noexcept {
    std::map<std::uint64_t, published>::node_type gone;  // closed after the mutex is free
    const std::lock_guard guard(mutex_);
    gone = all_.extract(number);
    if (gone.empty()) return false;
    if (all_.empty()) ::eventfd_write(emptied_.get(), 1);
    return true;
}

unique_fd name_server::find(const std::string& name) {
    unique_fd found;
    ask("find", name, &found);
    if (!found) throw_error(EMFILE, name);
    return found;
}

void name_server::unlink(const std::string& name) { ask("unlink", name, nullptr); }

void name_server::start_thread() {
    start_detached_thread(&run, this);
    runs_ = true;
}

void* name_server::run(void* server) noexcept {
    ::pthread_setname_np(::pthread_self(), "tercet-names");
    static_cast<name_server*>(server)->serve();
    return nullptr;
}

void name_server::serve() noexcept {
    for (;;) {
        try {
            if (!serve_once()) return;
        } catch (...) {  // no memory or no descriptor: who asks waits a little longer
            ::poll(nullptr, 0, 10);
        }
    }
}

bool name_server::serve_once() {
    epoll_event event{};
    if (::epoll_wait(waited_.get(), &event, 1, -1) <= 0) return true;
    std::map<std::uint64_t, published>::node_type gone;
    std::vector<unique_fd> unlinking;
    const std::lock_guard guard(mutex_);
    const std::uint64_t number = event.data.u64;  // a copy, since the kernel's struct is packed
    if (number == 0) {
        eventfd_t ignored = 0;
        ::eventfd_read(emptied_.get(), &ignored);
        runs_ = !all_.empty();
        return runs_;
    }
    const auto found = all_.find(number);
    if (found == all_.end()) return true;
    answer(found->second);
    unlinking = take_unlinking(found->second);
    if (unlinking.empty()) return true;
    gone = all_.extract(found);
    gone.mapped().finds.reset();
    gone.mapped().unlinks.reset();
    if (all_.empty()) ::eventfd_write(emptied_.get(), 1);
    reply(unlinking.front().get(), -1);  // the others find that it is gone
    return true;
}

void name_server::answer(published& asked) {
    for (;;) {
        const unique_fd asking(::accept4(asked.finds.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
        if (!asking) {
            check_all_accepted();
            return;
        }
        if (is_same_user(asking.get())) reply(asking.get(), asked.segment->fd());
    }
}

std::vector<unique_fd> name_server::take_unlinking(published& asked) {
    std::vector<unique_fd> all;
    for (;;) {
        unique_fd asking(::accept4(asked.unlinks.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
        if (!asking) {
            check_all_accepted();
            return all;
        }
        if (is_same_user(asking.get())) all.push_back(std::move(asking));
    }
}

void name_server::forget_all() noexcept {
    all_.clear();
    waited_.reset();
    emptied_.reset();
    runs_ = false;
}

}  // namespace tercet::multiprocessing
