// The file of a Unix socket: bind() does not take a path at which a file is. A socket on which nobody listens, left by
// a listener that was killed, is removed first. What stands at the path when we close is removed only if it is still
// ours.
//
// A name without a file has no permissions, so there the kernel is asked who the client is, and strangers are dropped
// as if they had not come.

#include <tercet/futures/errors.hpp>
#include <tercet/futures/fork_generation.hpp>
#include <tercet/multiprocessing/listener.hpp>

#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <stdexcept>
#include <system_error>
#include <utility>

#include "authentication.hpp"
#include "descriptor_poll.hpp"
#include "line_address.hpp"

namespace tercet::multiprocessing {

namespace {

/// A socket file at which nobody listens any more.
bool is_left_over(const std::string& path, const line_address& address) {
    struct stat file {};
    if (::lstat(path.c_str(), &file) != 0 || !S_ISSOCK(file.st_mode)) return false;
    const unique_fd probe = open_socket(AF_UNIX);
    return ::connect(probe.get(), address.data(), address.size) != 0 && errno == ECONNREFUSED;
}

}  // namespace

listener::listener(std::string address, listener_options options)
    : address_(address.empty() ? random_abstract_address() : std::move(address)), options_(std::move(options)) {
    if (options_.backlog <= 0 || options_.answer_timeout.count() <= 0)
        throw std::invalid_argument("listener: the backlog and the answer timeout must be more than 0");
    const auto failed = [this](const char* call) {
        throw std::system_error(errno, std::system_category(), fmt::format("listener: {} {}", call, address_));
    };
    const line_address where = parse_address(address_).front();
    const bool has_file = where.family() == AF_UNIX && !address_.starts_with('@');
    if (has_file && is_left_over(address_, where)) ::unlink(address_.c_str());
    socket_ = open_socket(where.family());
    const int on = 1;
    if (where.family() != AF_UNIX) ::setsockopt(socket_.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (::bind(socket_.get(), where.data(), where.size) != 0) failed("bind");
    struct stat file {};
    if (has_file && ::lstat(address_.c_str(), &file) == 0) {
        file_ = address_;
        file_generation_ = fork_generation();
        file_device_ = file.st_dev;
        file_number_ = file.st_ino;
    }
    if (::listen(socket_.get(), options_.backlog) != 0) {
        const int error = errno;
        close();
        errno = error;
        failed("listen");
    }
    if (where.family() != AF_UNIX) address_ = address_of(socket_.get());
}

listener::listener(listener&& other) noexcept
    : socket_(std::move(other.socket_)),
      address_(std::move(other.address_)),
      options_(std::move(other.options_)),
      file_(std::exchange(other.file_, {})),
      file_generation_(other.file_generation_),
      file_device_(other.file_device_),
      file_number_(other.file_number_) {}

listener& listener::operator=(listener&& other) noexcept {
    close();
    socket_ = std::move(other.socket_);
    address_ = std::move(other.address_);
    options_ = std::move(other.options_);
    file_ = std::exchange(other.file_, {});
    file_generation_ = other.file_generation_;
    file_device_ = other.file_device_;
    file_number_ = other.file_number_;
    return *this;
}

listener::~listener() { close(); }

connection listener::accept(time_limit limit) {
    const auto deadline = limit.deadline();
    for (;;) {
        unique_fd socket(::accept4(fileno(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
        if (!socket) {
            if (errno == EINTR || errno == ECONNABORTED) continue;
            if (errno != EAGAIN) throw std::system_error(errno, std::system_category(), "listener: accept " + address_);
            if (!is_ready_by(socket_.get(), POLLIN, deadline))
                throw timeout_error(fmt::format("listener: accept {}: no client came in the time given", address_));
            continue;
        }
        if (address_.starts_with('@') && !is_of_this_user(socket.get())) continue;
        const int on = 1;
        if (!is_unix_address(address_)) ::setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        connection line(std::move(socket));
        try {
            welcome_client(line, options_.authkey, time_limit(options_.answer_timeout).deadline());
        } catch (const authentication_error&) {
            throw;
        } catch (const std::exception& e) {
            throw authentication_error(
                fmt::format("listener: accept {}: a client did not answer: {}", address_, e.what()));
        }
        return line;
    }
}

int listener::fileno() const {
    if (!socket_) throw invalid_state_error("listener: it is closed");
    return socket_.get();
}

void listener::close() noexcept {
    if (!socket_) return;
    struct stat file {};
    // The file belongs to the process that has made it, not to its forked copies.
    if (!file_.empty() && file_generation_ == fork_generation() && ::lstat(file_.c_str(), &file) == 0 &&
        file.st_dev == file_device_ && file.st_ino == file_number_)
        ::unlink(file_.c_str());
    file_.clear();
    socket_.reset();
}

}  // namespace tercet::multiprocessing
