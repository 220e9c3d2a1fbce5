// sendfile(2) needs that nothing is queued before the file, so that is flushed first, and nobody else may write until
// it is over, which a guard in the coroutine's frame sees to, however it ends. It goes through the backend, which so
// learns that it had to wait; one that cannot do it says EINVAL, and the file is copied.
//
// Unlike send(2), sendfile(2) cannot be asked not to raise SIGPIPE. It is blocked meanwhile, and taken back if it came.

#include <tercet/asyncio/event_loop.hpp>
#include <tercet/asyncio/sendfile.hpp>

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <ctime>
#include <limits>
#include <memory>
#include <system_error>

namespace tercet::asyncio {

namespace {

constexpr std::uint64_t most_in_a_turn = std::uint64_t{1} << 20;
constexpr std::size_t copied_at_once = std::size_t{64} << 10;

class sigpipe_guard {
public:
    sigpipe_guard() noexcept {
        sigset_t pending;
        ::sigpending(&pending);
        is_pending_ = ::sigismember(&pending, SIGPIPE) == 1;
        ::sigemptyset(&only_);
        ::sigaddset(&only_, SIGPIPE);
        ::pthread_sigmask(SIG_BLOCK, &only_, &before_);
    }
    sigpipe_guard(const sigpipe_guard&) = delete;
    sigpipe_guard& operator=(const sigpipe_guard&) = delete;
    ~sigpipe_guard() {
        const int error = errno;
        constexpr timespec at_once{};
        if (error == EPIPE && !is_pending_)
            while (::sigtimedwait(&only_, nullptr, &at_once) < 0 && errno == EINTR) {
            }
        ::pthread_sigmask(SIG_SETMASK, &before_, nullptr);
        errno = error;
    }

private:
    sigset_t only_;
    sigset_t before_;
    bool is_pending_;
};

/// Errors of the file, not of the connection.
bool is_of_file(int error) noexcept {
    switch (error) {
        case EBADF:
        case EINVAL:
        case EIO:
        case EISDIR:
        case ENOSYS:
        case EOPNOTSUPP:
        case EOVERFLOW:
        case ESPIPE:
            return true;
        default:
            return false;
    }
}

class flush_operation final : public io_operation {
public:
    explicit flush_operation(stream_socket& stream) noexcept
        : io_operation(stream, watched_socket::direction::writing), stream_(stream) {}
    void await_resume() const {
        throw_if_cancelled();
        const int why = error() != 0 ? error() : stream_.write_error();
        if (why != 0) stream_.throw_error("sendfile", why);
    }

private:
    bool attempt() noexcept override { return stream_.flush_all(); }
    stream_socket& stream_;
};

/// Sends a part of the file, at least one byte, unless the file ends.
class file_operation final : public io_operation {
public:
    file_operation(stream_socket& stream, int file, std::uint64_t offset, std::uint64_t count) noexcept
        : io_operation(stream, watched_socket::direction::writing),
          stream_(stream),
          file_(file),
          offset_(static_cast<off_t>(offset)),
          count_(static_cast<std::size_t>(std::min(count, most_in_a_turn))) {}
    /// How many went.
    std::uint64_t await_resume() const {
        throw_if_cancelled();
        if (error() == 0) return sent_;
        if (!is_of_file(error())) stream_.lose(error());
        stream_.throw_error("sendfile", error());
    }

private:
    bool attempt() noexcept override {
        ssize_t count;
        {
            const sigpipe_guard guard;
            count = sockets().send_file(stream_, file_, offset_, count_);
        }
        if (count >= 0) {
            sent_ = static_cast<std::uint64_t>(count);
            return true;
        }
        if (errno == EAGAIN) {
            filled_writing();
            return false;
        }
        fail(errno);
        return true;
    }

    stream_socket& stream_;
    int file_;
    off_t offset_;
    std::size_t count_;
    std::uint64_t sent_ = 0;
};

/// Waits until the copied part of the file has gone out, but for a rest; closing ends it.
class copied_awaiter final : public wait_list::waiter {
public:
    explicit copied_awaiter(stream_socket& stream) noexcept : stream_(stream) {}
    void await_resume() const {
        throw_if_cancelled();
        if (stream_.write_error() != 0) stream_.throw_error("sendfile", stream_.write_error());
    }

private:
    bool begin() noexcept override {
        if (!stream_.is_paused() || !stream_.is_open() || stream_.is_closing()) return true;
        wait_in(stream_.file_drainers());
        return false;
    }
    stream_socket& stream_;
};

class file_guard {
public:
    explicit file_guard(stream_socket& stream) : stream_(stream) { stream_.begin_file(); }
    file_guard(const file_guard&) = delete;
    file_guard& operator=(const file_guard&) = delete;
    ~file_guard() { stream_.end_file(); }

private:
    stream_socket& stream_;
};

void require_open(const stream_socket& stream) {
    if (stream.write_error() != 0) stream.throw_error("sendfile", stream.write_error());
    if (stream.is_closing()) stream.throw_error("sendfile", ECONNABORTED);
}

coro<std::uint64_t> copy_file(stream_pointer stream, int file, std::uint64_t offset, std::uint64_t count) {
    const auto room = std::make_unique_for_overwrite<std::array<char, copied_at_once>>();
    std::uint64_t sent = 0;
    bool is_seekable = true;
    while (sent < count) {
        require_open(*stream);  // before a pipe is read: what is taken from it has to go out
        const auto wanted = static_cast<std::size_t>(std::min<std::uint64_t>(room->size(), count - sent));
        ssize_t got = -1;
        if (is_seekable) {
            got = ::pread(file, room->data(), wanted, static_cast<off_t>(offset + sent));
            if (got < 0 && errno == ESPIPE && offset == 0) is_seekable = false;  // a pipe begins where it stands
        }
        if (!is_seekable) got = ::read(file, room->data(), wanted);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) stream->throw_error("sendfile", errno);
        if (got == 0) break;
        stream->write_of_file({room->data(), static_cast<std::size_t>(got)});
        sent += static_cast<std::uint64_t>(got);
        copied_awaiter gone(*stream);
        co_await gone;
    }
    co_return sent;
}

coro<std::uint64_t> send(stream_pointer stream, int file, std::uint64_t offset, std::uint64_t count) {
    const file_guard guard(*stream);
    require_open(*stream);
    std::uint64_t sent = 0;
    bool is_by_kernel = !stream->security();
    while (is_by_kernel && sent < count) {
        if (stream->unsent() > 0) {
            flush_operation flush(*stream);
            co_await flush;
        }
        file_operation part(*stream, file, offset + sent, count - sent);
        try {
            const std::uint64_t gone = co_await part;
            if (gone == 0) co_return sent;
            sent += gone;
        } catch (const std::system_error& error) {
            const int code = error.code().value();
            const bool is_unfit = code == EINVAL || code == ESPIPE || code == ENOSYS;  // for sendfile(2)
            if (sent > 0 || !is_unfit) throw;
            is_by_kernel = false;
        }
    }
    if (is_by_kernel) co_return sent;
    co_return co_await copy_file(stream, file, offset, count);
}

}  // namespace

coro<std::uint64_t> sendfile(const stream_writer& writer, int file, std::uint64_t offset,
                             std::optional<std::uint64_t> count) {
    return send(writer.stream(), file, offset, count.value_or(std::numeric_limits<std::uint64_t>::max()));
}

}  // namespace tercet::asyncio
