// The request goes over the control socket before all else, its size first; it is short enough to stand in the socket
// until the server reads it, so nobody waits for a server that does not come to that.
//
// While the call is made nobody else looks whether the program is still there. A thread does, which is gone before the
// server forks.

#include "forkserver_preload.hpp"

#include <tercet/futures/errors.hpp>
#include <tercet/multiprocessing/forkserver_preload.hpp>

#include <fmt/format.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <stdexcept>
#include <thread>

#include "bell.hpp"
#include "end_process.hpp"
#include "fork_server.hpp"
#include "socket.hpp"

namespace tercet::multiprocessing {

namespace {

/// Ends this process with its program, as long as it lives.
class parent_watch {
public:
    explicit parent_watch(int parent)
        : over_(::eventfd(0, EFD_CLOEXEC)), thread_([this, parent] {
              pollfd ends[] = {{over_.get(), POLLIN, 0}, {parent, POLLIN, 0}};
              while (::poll(ends, 2, -1) < 0 && errno == EINTR) {
              }
              if (ends[1].revents != 0) end_process(1);
          }) {}
    parent_watch(const parent_watch&) = delete;
    parent_watch& operator=(const parent_watch&) = delete;
    ~parent_watch() {
        ring(over_.get());
        thread_.join();
    }

private:
    unique_fd over_;
    std::thread thread_;
};

}  // namespace

void detail::set_forkserver_preload_request(encoder request) {
    if (!request.take_descriptors().empty())
        throw std::invalid_argument("set_forkserver_preload: an argument is known by a file descriptor");
    fork_server::instance().set_preload(std::move(request.buffer()));
}

void run_forkserver_preload(int control, int parent) {
    std::uint64_t size = 0;
    if (receive_record(control, &size, sizeof size) != io_status::done || size > fork_server::max_preload_bytes)
        end_process(1);
    if (size == 0) return;
    byte_buffer bytes;
    bytes.resize(static_cast<std::size_t>(size));
    if (receive_record(control, bytes.data(), bytes.size()) != io_status::done) end_process(1);
    try {
        const parent_watch watch(parent);
        decoder request(bytes.bytes());
        encoder ignored;
        run_request(request, ignored);
    } catch (...) {
        const std::string text = fmt::format("set_forkserver_preload: fork server (pid {}): {}\n", ::getpid(),
                                             describe(std::current_exception()));
        std::fwrite(text.data(), 1, text.size(), stderr);
        end_process(1);
    }
}

}  // namespace tercet::multiprocessing
