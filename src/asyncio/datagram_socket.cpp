// The size of a message is asked for before it is taken, so that the memory for it has the right size and none is cut
// off. Another process may share the socket and take the message in between: then there is nothing, and the wait
// goes on, or a longer one, which is dropped as one that was too long from the beginning.

#include <tercet/asyncio/datagram_socket.hpp>
#include <tercet/asyncio/event_loop.hpp>
#include <tercet/futures/errors.hpp>

#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <new>
#include <stdexcept>
#include <system_error>
#include <vector>

#include "asyncio/addresses_of.hpp"

namespace tercet::asyncio {

class datagram_state final : public watched_socket {
public:
    using watched_socket::watched_socket;
    ~datagram_state() override { close_descriptor(); }

    void bind(const socket_address& local) {
        if (sockets().bind(descriptor(), local) != 0)
            throw std::system_error(errno, std::system_category(), "bind " + local.to_string());
        path_ = local.path();
        if (path_.starts_with('\0') || ::stat(path_.c_str(), &file_) != 0) path_.clear();
    }
    void connect(const socket_address& peer) {
        if (sockets().connect(descriptor(), peer) != 0)
            throw std::system_error(errno, std::system_category(), "connect " + peer.to_string());
        peer_ = peer;
    }
    const socket_address& peer() const noexcept { return peer_; }

    void set_option(int option, int value, const char* name) const {
        if (sockets().set_option(descriptor(), SOL_SOCKET, option, value) != 0)
            throw std::system_error(errno, std::system_category(), std::string("datagram socket: ") + name);
    }

    void require_success(const char* call, int error, bool was_busy, const socket_address& to) const {
        if (error == 0 && !was_busy) return;
        const socket_address& named = to.size() > 0 ? to : peer_.size() > 0 ? peer_ : local_;
        const std::string text = std::string(call) + ' ' + named.to_string();
        if (was_busy) throw invalid_state_error(text + ": another coroutine does so on this socket");
        throw std::system_error(error, std::system_category(), text);
    }

    void start() {
        local_ = sockets().local_address(descriptor());
        watch();
    }

    socket_address local() const { return is_open() ? sockets().local_address(descriptor()) : socket_address(); }

    using watched_socket::filled_writing;

private:
    void give_back(int descriptor, void (socket_calls::*how)(int) noexcept) noexcept override {
        struct stat present {};
        if (!path_.empty() && ::stat(path_.c_str(), &present) == 0 && present.st_dev == file_.st_dev &&
            present.st_ino == file_.st_ino)
            ::unlink(path_.c_str());
        watched_socket::give_back(descriptor, how);
    }

    socket_address local_;
    socket_address peer_;
    std::string path_;
    struct stat file_ {};
};

namespace {

datagram_state& require(const std::shared_ptr<datagram_state>& state) {
    if (!state) throw invalid_state_error("datagram socket: it was moved from");
    return *state;
}

/// After EAGAIN: it is not our queue that has no room but that of a Unix socket to which we are not connected. The
/// kernel does not tell when that changes.
bool is_full_at_receiver(int descriptor, const socket_address& to) noexcept {
    if (!to.is_unix()) return false;
    pollfd ours{.fd = descriptor, .events = POLLOUT, .revents = 0};
    const bool has_room = ::poll(&ours, 1, 0) == 1;
    errno = EAGAIN;
    return has_room;
}

}  // namespace

datagram_socket::receive_awaiter::receive_awaiter(std::shared_ptr<datagram_state> state, std::size_t max_size)
    : io_operation(require(state), watched_socket::direction::reading), state_(std::move(state)), max_size_(max_size) {}

bool datagram_socket::receive_awaiter::attempt() noexcept {
    ssize_t count = sockets().receive_from(*state_, {}, MSG_PEEK, received_.from);
    if (count >= 0) {
        const auto size = static_cast<std::size_t>(count);
        bool fits = size <= max_size_;
        try {
            received_.data.resize(fits ? size : 0);
        } catch (const std::bad_alloc&) {
            fail(ENOMEM);
            return true;
        }
        count = sockets().receive_from(*state_, received_.data, 0, received_.from);
        if (count >= 0) {
            fits = fits && static_cast<std::size_t>(count) <= size;
            if (!fits) fail(EMSGSIZE);
            if (fits) received_.data.resize(static_cast<std::size_t>(count));
            return true;
        }
    }
    if (errno == EAGAIN) {
        drained_reading();
        return false;
    }
    fail(errno);
    return true;
}

datagram datagram_socket::receive_awaiter::await_resume() {
    throw_if_cancelled();
    state_->require_success("receive", error(), was_busy(), {});
    return std::move(received_);
}

datagram_socket::receive_into_awaiter::receive_into_awaiter(std::shared_ptr<datagram_state> state, std::span<char> into)
    : io_operation(require(state), watched_socket::direction::reading), state_(std::move(state)), into_(into) {}

bool datagram_socket::receive_into_awaiter::attempt() noexcept {
    const ssize_t count = sockets().receive_from(*state_, into_, 0, received_.from);
    if (count < 0) {
        if (errno == EAGAIN) {
            drained_reading();
            return false;
        }
        fail(errno);
        return true;
    }
    received_.size = static_cast<std::size_t>(count);
    received_.is_truncated = received_.size > into_.size();
    return true;
}

received_datagram datagram_socket::receive_into_awaiter::await_resume() const {
    throw_if_cancelled();
    state_->require_success("receive", error(), was_busy(), {});
    return received_;
}

datagram_socket::send_awaiter::send_awaiter(std::shared_ptr<datagram_state> state, std::string_view data,
                                            const socket_address& to)
    : io_operation(require(state), watched_socket::direction::writing),
      state_(std::move(state)),
      data_(data),
      to_(to) {}

bool datagram_socket::send_awaiter::attempt() noexcept {
    if (sockets().send_to(*state_, data_, to_) >= 0) return true;
    if (errno == EAGAIN && !is_full_at_receiver(descriptor(), to_)) {
        state_->filled_writing();
        return false;
    }
    fail(errno);
    return true;
}

void datagram_socket::send_awaiter::await_resume() const {
    throw_if_cancelled();
    state_->require_success("send", error(), was_busy(), to_);
}

datagram_socket& datagram_socket::operator=(datagram_socket&& other) noexcept {
    if (this == &other) return *this;
    close();
    state_ = std::move(other.state_);
    return *this;
}

void datagram_socket::close() noexcept {
    if (state_) state_->close_descriptor();
}

bool datagram_socket::is_open() const noexcept { return state_ && state_->is_open(); }

socket_address datagram_socket::local_address() const { return require(state_).local(); }

socket_address datagram_socket::peer_address() const { return require(state_).peer(); }

datagram_socket open_datagram(const socket_address& local, const socket_address& peer, datagram_options options) {
    const socket_address& given = local.size() > 0 ? local : peer;
    if (given.size() == 0) throw std::invalid_argument("open_datagram: neither a local address nor a peer");
    event_loop& loop = get_running_loop();
    const int descriptor = loop.sockets().open_datagram(given.family());
    if (descriptor < 0) throw std::system_error(errno, std::system_category(), "open_datagram " + given.to_string());
    std::shared_ptr<datagram_state> state;
    try {
        state = std::make_shared<datagram_state>(loop, descriptor);
    } catch (...) {
        loop.sockets().close(descriptor);
        throw;
    }
    const auto bytes = [](std::size_t size) { return static_cast<int>(std::min<std::size_t>(size, INT_MAX)); };
    if (options.reuse_address) state->set_option(SO_REUSEADDR, 1, "SO_REUSEADDR");
    if (options.reuse_port) state->set_option(SO_REUSEPORT, 1, "SO_REUSEPORT");
    if (options.broadcast) state->set_option(SO_BROADCAST, 1, "SO_BROADCAST");
    if (options.receive_buffer > 0) state->set_option(SO_RCVBUF, bytes(options.receive_buffer), "SO_RCVBUF");
    if (options.send_buffer > 0) state->set_option(SO_SNDBUF, bytes(options.send_buffer), "SO_SNDBUF");
    if (local.size() > 0) state->bind(local);
    if (peer.size() > 0) state->connect(peer);
    state->start();
    return datagram_socket(std::move(state));
}

namespace {

/// The first of the addresses that works, or the error of the first.
template <class Open>
datagram_socket open_first(const std::vector<socket_address>& addresses, Open open) {
    std::exception_ptr first_error;
    for (const socket_address& address : addresses) {
        try {
            return open(address);
        } catch (const std::system_error&) {
            if (!first_error) first_error = std::current_exception();
        }
    }
    std::rethrow_exception(first_error);
}

}  // namespace

coro<datagram_socket> bind_datagram(std::string host, std::uint16_t port, datagram_options options) {
    const std::vector<socket_address> addresses = co_await addresses_of(std::move(host), port, true);
    co_return open_first(addresses, [&](const socket_address& each) { return open_datagram(each, {}, options); });
}

coro<datagram_socket> connect_datagram(std::string host, std::uint16_t port, datagram_options options) {
    const std::vector<socket_address> addresses = co_await addresses_of(std::move(host), port, false);
    co_return open_first(addresses, [&](const socket_address& each) { return open_datagram({}, each, options); });
}

}  // namespace tercet::asyncio
