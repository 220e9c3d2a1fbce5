// The position is the kernel's, so that append mode, devices and descriptors that others share behave as they always
// do. A line is read with some of what follows it; these bytes stand in `ahead`, and the position of the file object is
// that of the kernel less their number. Reads take from `ahead` first; whatever else uses the position moves the
// kernel's back before. A read that fails or is cancelled in the middle puts what it had taken back into `ahead`.
//
// `calls` counts what uses the descriptor, so that close cannot pull it away from under a thread.

#include <tercet/asyncio/file.hpp>
#include <tercet/asyncio/stream_errors.hpp>
#include <tercet/futures/errors.hpp>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <stdexcept>
#include <system_error>

#include "asyncio/blocking_call.hpp"

namespace tercet::asyncio {

class file_state {
public:
    file_state(int opened, std::string name) noexcept : descriptor(opened), path(std::move(name)) {}
    file_state(const file_state&) = delete;
    file_state& operator=(const file_state&) = delete;
    ~file_state() {
        if (descriptor >= 0) ::close(descriptor);
    }

    [[noreturn]] void fail(const char* call, std::int64_t result) const {
        throw std::system_error(static_cast<int>(-result), std::system_category(), std::string(call) + ' ' + path);
    }

    int descriptor;
    std::string path;
    std::string ahead;
    unsigned calls = 0;
    bool is_position_used = false;
};

namespace {

using state_pointer_of_file = std::shared_ptr<file_state>;

constexpr std::size_t largest_step = std::size_t{1} << 20;
constexpr std::size_t line_step = std::size_t{16} << 10;

/// What a system call returned, or minus the error number; without EINTR.
template <class Call>
std::int64_t without_interruption(Call call) noexcept {
    std::int64_t result;
    do {
        result = call();
    } while (result < 0 && errno == EINTR);
    return result < 0 ? -errno : result;
}

class use {
public:
    use(const state_pointer_of_file& state, const char* call) : state_(*check(state, call)) { ++state_.calls; }
    use(const use&) = delete;
    use& operator=(const use&) = delete;
    ~use() { --state_.calls; }

private:
    static const state_pointer_of_file& check(const state_pointer_of_file& state, const char* call) {
        if (!state) throw invalid_state_error(std::string(call) + ": the file was moved from");
        if (state->descriptor < 0) throw invalid_state_error(std::string(call) + ' ' + state->path + ": it is closed");
        return state;
    }
    file_state& state_;
};

class position_use : use {
public:
    position_use(const state_pointer_of_file& state, const char* call) : use(state, call), state_(*state) {
        if (state_.is_position_used)
            throw invalid_state_error(std::string(call) + ' ' + state_.path +
                                      ": another coroutine reads or writes at its position");
        state_.is_position_used = true;
    }
    position_use(const position_use&) = delete;
    position_use& operator=(const position_use&) = delete;
    ~position_use() { state_.is_position_used = false; }

private:
    file_state& state_;
};

/// Takes the kernel's position back to that of the file object.
coro<> rewind(file_state& state) {
    const auto back = -static_cast<off_t>(state.ahead.size());
    if (back == 0) co_return;
    auto seek = blocking_call_of([descriptor = state.descriptor, back] {
        return without_interruption([&] { return ::lseek(descriptor, back, SEEK_CUR); });
    });
    const std::int64_t result = co_await seek;
    if (result < 0) state.fail("seek", result);
    state.ahead.clear();
}

/// Bytes that a read has taken, and gives back unless it is over.
class taken_bytes {
public:
    explicit taken_bytes(file_state& state) noexcept : state_(state) { std::swap(bytes, state_.ahead); }
    taken_bytes(const taken_bytes&) = delete;
    taken_bytes& operator=(const taken_bytes&) = delete;
    ~taken_bytes() { std::swap(bytes, state_.ahead); }

    /// The first `count`; the others are given back.
    std::string take(std::size_t count) {
        std::string rest = bytes.substr(count);
        bytes.resize(count);
        return std::exchange(bytes, std::move(rest));
    }

    std::string bytes;

private:
    file_state& state_;
};

/// Appends up to `count` bytes of the file. 0 at its end.
coro<std::int64_t> read_more(file_state& state, std::string& bytes, std::size_t count) {
    const std::size_t before = bytes.size();
    bytes.resize(before + count);
    auto read = blocking_call_of([descriptor = state.descriptor, into = bytes.data() + before, count] {
        return without_interruption([&] { return ::read(descriptor, into, count); });
    });
    std::int64_t result = -1;
    try {
        result = co_await read;
    } catch (...) {
        bytes.resize(before);
        throw;
    }
    bytes.resize(before + static_cast<std::size_t>(std::max<std::int64_t>(result, 0)));
    if (result < 0) state.fail("read", result);
    co_return result;
}

int flags_of(open_mode mode) noexcept {
    switch (mode) {
        case open_mode::write:
            return O_WRONLY | O_CREAT | O_TRUNC;
        case open_mode::append:
            return O_WRONLY | O_CREAT | O_APPEND;
        case open_mode::create_new:
            return O_WRONLY | O_CREAT | O_EXCL;
        case open_mode::update:
            return O_RDWR;
        case open_mode::read:
            break;
    }
    return O_RDONLY;
}

constexpr int is_no_file = EPIPE;  // open(2) does not give that

/// The descriptor, or minus the error number. Does not wait for the other side of a pipe.
std::int64_t open_regular(const std::string& path, open_mode mode, unsigned permissions) noexcept {
    const auto opened = without_interruption(
        [&] { return ::open(path.c_str(), flags_of(mode) | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, permissions); });
    if (opened == -ENXIO) return -is_no_file;  // a pipe that nobody reads, or a socket
    if (opened < 0) return opened;
    const int descriptor = static_cast<int>(opened);
    struct stat found {};
    int error = 0;
    if (::fstat(descriptor, &found) != 0)
        error = errno;
    else if (S_ISFIFO(found.st_mode) || S_ISSOCK(found.st_mode))
        error = is_no_file;
    else if (::fcntl(descriptor, F_SETFL, ::fcntl(descriptor, F_GETFL) & ~O_NONBLOCK) != 0)
        error = errno;
    if (error == 0) return opened;
    ::close(descriptor);
    return -error;
}

}  // namespace

bool file::is_open() const noexcept { return state_ && state_->descriptor >= 0; }

coro<std::string> file::read(state_pointer_of_file state, std::size_t count) {
    const position_use guard(state, "read");
    taken_bytes taken(*state);
    while (taken.bytes.size() < count) {
        const std::size_t step = std::min(count - taken.bytes.size(), std::max(line_step, taken.bytes.size()));
        const std::int64_t added = co_await read_more(*state, taken.bytes, std::min(step, largest_step));
        if (added == 0) break;
    }
    co_return taken.take(std::min(count, taken.bytes.size()));
}

coro<std::string> file::read_line(state_pointer_of_file state, std::size_t limit) {
    const position_use guard(state, "read");
    taken_bytes taken(*state);
    std::size_t searched = 0;
    for (;;) {
        const std::size_t found = taken.bytes.find('\n', searched);
        if (std::min(found, taken.bytes.size()) > limit) throw limit_overrun_error(limit, limit);
        if (found != std::string::npos) co_return taken.take(found + 1);
        searched = taken.bytes.size();
        const std::int64_t added = co_await read_more(*state, taken.bytes, line_step);
        if (added == 0) co_return taken.take(taken.bytes.size());
    }
}

coro<> file::write(state_pointer_of_file state, std::string data) {
    const position_use guard(state, "write");
    co_await rewind(*state);
    for (std::size_t written = 0; written < data.size();) {
        const std::string_view rest = std::string_view(data).substr(written, largest_step);
        auto write = blocking_call_of([descriptor = state->descriptor, rest] {
            return without_interruption([&] { return ::write(descriptor, rest.data(), rest.size()); });
        });
        const std::int64_t result = co_await write;
        if (result < 0) state->fail("write", result);
        written += static_cast<std::size_t>(result);
    }
}

coro<std::uint64_t> file::seek(state_pointer_of_file state, std::int64_t offset, seek_from from) {
    const position_use guard(state, "seek");
    const int whence = from == seek_from::begin ? SEEK_SET : from == seek_from::position ? SEEK_CUR : SEEK_END;
    const bool only_asks = whence == SEEK_CUR && offset == 0;
    const auto ahead = static_cast<std::int64_t>(state->ahead.size());
    auto seek = blocking_call_of(
        [descriptor = state->descriptor, whence, offset = whence == SEEK_CUR && !only_asks ? offset - ahead : offset] {
            return without_interruption([&] { return ::lseek(descriptor, offset, whence); });
        });
    const std::int64_t result = co_await seek;
    if (result < 0) state->fail("seek", result);
    if (only_asks) co_return static_cast<std::uint64_t>(result - ahead);
    state->ahead.clear();
    co_return static_cast<std::uint64_t>(result);
}

coro<std::size_t> file::pread(state_pointer_of_file state, std::span<char> into, std::uint64_t offset) {
    const use guard(state, "read");
    auto read = blocking_call_of([descriptor = state->descriptor, into, offset] {
        return without_interruption(
            [&] { return ::pread(descriptor, into.data(), into.size(), static_cast<off_t>(offset)); });
    });
    const std::int64_t result = co_await read;
    if (result < 0) state->fail("read", result);
    co_return static_cast<std::size_t>(result);
}

coro<> file::pwrite(state_pointer_of_file state, std::string_view data, std::uint64_t offset) {
    const use guard(state, "write");
    while (!data.empty()) {
        auto write = blocking_call_of([descriptor = state->descriptor, data, offset] {
            return without_interruption(
                [&] { return ::pwrite(descriptor, data.data(), data.size(), static_cast<off_t>(offset)); });
        });
        const std::int64_t result = co_await write;
        if (result < 0) state->fail("write", result);
        data.remove_prefix(static_cast<std::size_t>(result));
        offset += static_cast<std::uint64_t>(result);
    }
}

coro<> file::sync(state_pointer_of_file state) {
    const use guard(state, "sync");
    auto sync = blocking_call_of(
        [descriptor = state->descriptor] { return without_interruption([&] { return ::fsync(descriptor); }); });
    const std::int64_t result = co_await sync;
    if (result < 0) state->fail("sync", result);
}

coro<std::uint64_t> file::size(state_pointer_of_file state) {
    const use guard(state, "size");
    auto ask = blocking_call_of([descriptor = state->descriptor]() -> std::int64_t {
        struct stat found {};
        const std::int64_t result = without_interruption([&] { return ::fstat(descriptor, &found); });
        return result < 0 ? result : found.st_size;
    });
    const std::int64_t result = co_await ask;
    if (result < 0) state->fail("size", result);
    co_return static_cast<std::uint64_t>(result);
}

coro<> file::truncate(state_pointer_of_file state, std::uint64_t size) {
    const use guard(state, "truncate");
    auto cut = blocking_call_of([descriptor = state->descriptor, size] {
        return without_interruption([&] { return ::ftruncate(descriptor, static_cast<off_t>(size)); });
    });
    const std::int64_t result = co_await cut;
    if (result < 0) state->fail("truncate", result);
}

coro<> file::close(state_pointer_of_file state) {
    if (!state) throw invalid_state_error("close: the file was moved from");
    if (state->descriptor < 0) co_return;
    if (state->calls > 0) throw invalid_state_error("close " + state->path + ": a call is under way");
    const int closed = std::exchange(state->descriptor, -1);
    // Linux has closed the descriptor whatever close says, so there is no second try.
    auto close = blocking_call_of([closed]() -> std::int64_t { return ::close(closed) == 0 ? 0 : -errno; });
    std::int64_t result = 0;
    try {
        result = co_await close;
    } catch (...) {
        state->descriptor = closed;  // it did not begin
        throw;
    }
    if (result < 0 && result != -EINTR) state->fail("close", result);
}

coro<file> open_file(std::string path, open_mode mode, unsigned permissions) {
    if (path.find('\0') != std::string::npos) throw std::invalid_argument("open: the path contains a zero byte");
    auto state = std::make_shared<file_state>(-1, std::move(path));
    auto open = blocking_call_of([&state, mode, permissions] { return open_regular(state->path, mode, permissions); });
    const std::int64_t result = co_await open;
    if (result == -is_no_file)
        throw std::invalid_argument("open " + state->path +
                                    ": a pipe, a socket or a device that is not there; open_file is for files, "
                                    "connect_read_pipe and connect_write_pipe are for pipes");
    if (result < 0) state->fail("open", result);
    state->descriptor = static_cast<int>(result);
    co_return file(std::move(state));
}

}  // namespace tercet::asyncio
