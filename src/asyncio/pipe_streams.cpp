// What makes a stream of a descriptor that is no socket: read and write in the place of recv and send. write has no
// MSG_NOSIGNAL, so SIGPIPE is kept from the thread meanwhile; the one that a write has raised is taken away again,
// unless one was pending before, with which it has become one.
//
// A terminal gives a line, a device what it likes, whatever is behind it: a short read says nothing there, and only
// EAGAIN does.

#include <tercet/asyncio/event_loop.hpp>
#include <tercet/asyncio/pipe_streams.hpp>

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <ctime>
#include <system_error>

namespace tercet::asyncio {

namespace {

ssize_t write_without_signal(int descriptor, std::string_view data) noexcept {
    sigset_t broken_pipe;
    sigset_t pending;
    sigset_t before;
    ::sigemptyset(&broken_pipe);
    ::sigaddset(&broken_pipe, SIGPIPE);
    ::sigpending(&pending);
    ::pthread_sigmask(SIG_BLOCK, &broken_pipe, &before);
    const ssize_t count = ::write(descriptor, data.data(), data.size());
    const int error = errno;
    if (count < 0 && error == EPIPE && ::sigismember(&pending, SIGPIPE) == 0) {
        const timespec at_once{};
        while (::sigtimedwait(&broken_pipe, nullptr, &at_once) < 0 && errno == EINTR) {
        }
    }
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
    errno = error;
    return count;
}

class pipe_stream final : public stream_socket {
public:
    pipe_stream(event_loop& loop, int descriptor, int usual_flags, std::size_t limit) noexcept
        : stream_socket(loop, descriptor, {}, limit), number_(descriptor), usual_flags_(usual_flags) {
        distrust_short_reads();
    }

    std::string name() const override { return fmt::format("pipe {}", number_); }

private:
    ~pipe_stream() override { close_descriptor(); }

    ssize_t receive_once(std::span<char> into) noexcept override {
        ssize_t count;
        do {
            count = ::read(descriptor(), into.data(), into.size());
        } while (count < 0 && errno == EINTR);
        return count;
    }
    ssize_t send_once(std::string_view data) noexcept override {
        ssize_t count;
        do {
            count = write_without_signal(descriptor(), data);
        } while (count < 0 && errno == EINTR);
        return count;
    }
    void end_output() noexcept override { close(); }
    void give_back(int descriptor, void (socket_calls::*)(int) noexcept) noexcept override {
        if (!(usual_flags_ & O_NONBLOCK)) ::fcntl(descriptor, F_SETFL, usual_flags_);
        ::close(descriptor);
    }

    int number_;
    int usual_flags_;
};

stream_pointer open_stream(int descriptor, std::size_t limit, const char* call) {
    pipe_stream* made = nullptr;
    try {
        event_loop& loop = get_running_loop();
        const int flags = ::fcntl(descriptor, F_GETFL);
        if (flags < 0 || ::fcntl(descriptor, F_SETFL, flags | O_NONBLOCK) != 0)
            throw std::system_error(errno, std::system_category(), fmt::format("{} {}", call, descriptor));
        made = new pipe_stream(loop, descriptor, flags, limit);
    } catch (...) {
        if (descriptor >= 0) ::close(descriptor);
        throw;
    }
    stream_pointer stream(made);
    try {
        made->watch();
    } catch (const std::system_error& error) {
        if (error.code() != std::errc::operation_not_permitted) throw;  // that is a file: always ready
    }
    return stream;
}

}  // namespace

stream_reader connect_read_pipe(int descriptor, pipe_options options) {
    return stream_reader(open_stream(descriptor, options.limit, "connect_read_pipe"));
}

stream_writer connect_write_pipe(int descriptor, pipe_options options) {
    return stream_writer(open_stream(descriptor, options.limit, "connect_write_pipe"));
}

stream_reader open_standard_input(pipe_options options) {
    const int own = ::fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    if (own < 0) throw std::system_error(errno, std::system_category(), "open_standard_input");
    return connect_read_pipe(own, options);
}

}  // namespace tercet::asyncio
