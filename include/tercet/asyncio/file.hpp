#pragma once

#include <tercet/asyncio/coro.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace tercet::asyncio {

class file_state;

/// As Python's modes.
enum class open_mode : std::uint8_t {
    read,        ///< "r": it must be there
    write,       ///< "w": created, or emptied
    append,      ///< "a": created if it is not there; every write goes to the end
    create_new,  ///< "x": it must not be there
    update,      ///< "r+": it must be there; reads and writes
};

/// What an offset counts from; `end`: the end of the file.
enum class seek_from : std::uint8_t { begin, position, end };

/// A file, read and written without blocking the loop: a few threads of the loop make the calls, since the kernel has
/// no readiness for files.
///
/// Everything that uses the position is for one coroutine at a time: another throws `invalid_state_error`; so does what
/// comes after `close`. All throw `std::system_error` with the path ("write /var/log/x: No space left on device"), and
/// `cancelled_error`. A call of the kernel that has begun is never left alone: the cancelled task goes on when it
/// is over. The loop's thread.
class file {
public:
    explicit file(std::shared_ptr<file_state> state) noexcept : state_(std::move(state)) {}

    /// `count` bytes, fewer only at the end of the file. Cancel safety: a cancelled read takes nothing, the position is
    /// as it was; the same after an error.
    [[nodiscard]] coro<std::string> read(std::size_t count) const { return read(state_, count); }
    /// Everything from the position to the end. Cancel safety: as `read`.
    [[nodiscard]] coro<std::string> read_all() const { return read(state_, std::size_t(-1)); }
    /// A line with its "\n"; the rest without one at the end of the file, where it is empty. Throws
    /// `limit_overrun_error` when no line ends within `limit` bytes. Cancel safety: as `read`.
    [[nodiscard]] coro<std::string> read_line(std::size_t limit = std::size_t{1} << 20) const {
        return read_line(state_, limit);
    }
    /// Writes all of `data`. Cancel safety: a part may have been written; the position stands behind it. The same after
    /// an error.
    [[nodiscard]] coro<> write(std::string data) const { return write(state_, std::move(data)); }

    /// Moves the position, in bytes, and returns it from the beginning. Cancel safety: it may have moved.
    [[nodiscard]] coro<std::uint64_t> seek(std::int64_t offset, seek_from from = seek_from::begin) const {
        return seek(state_, offset, from);
    }
    /// The position. Cancel safety: nothing to lose.
    [[nodiscard]] coro<std::uint64_t> tell() const { return seek(state_, 0, seek_from::position); }

    // These leave the position alone: any number of coroutines at once.

    /// Up to `into.size()` bytes from `offset`; 0 at the end. `into` must stay. Cancel safety: nothing to lose.
    [[nodiscard]] coro<std::size_t> pread(std::span<char> into, std::uint64_t offset) const {
        return pread(state_, into, offset);
    }
    /// Writes all of `data` at `offset`. `data` must stay. Cancel safety: a part may have been written.
    [[nodiscard]] coro<> pwrite(std::string_view data, std::uint64_t offset) const {
        return pwrite(state_, data, offset);
    }
    /// Waits until what was written is on the disk (fsync). Cancel safety: nothing to lose.
    [[nodiscard]] coro<> sync() const { return sync(state_); }
    /// In bytes. Cancel safety: nothing to lose.
    [[nodiscard]] coro<std::uint64_t> size() const { return size(state_); }
    /// Cuts the file, or fills it up with zeros. Cancel safety: it may have been done.
    [[nodiscard]] coro<> truncate(std::uint64_t size) const { return truncate(state_, size); }

    /// Closes, and reports what the file system found out only then. Throws `invalid_state_error` while a call is under
    /// way. Dropping the file closes it as well, on the loop's thread and in silence. Cancel safety: it is closed
    /// unless it throws.
    [[nodiscard]] coro<> close() const { return close(state_); }
    /// False after `close`.
    bool is_open() const noexcept;

private:
    static coro<std::string> read(std::shared_ptr<file_state> state, std::size_t count);
    static coro<std::string> read_line(std::shared_ptr<file_state> state, std::size_t limit);
    static coro<> write(std::shared_ptr<file_state> state, std::string data);
    static coro<std::uint64_t> seek(std::shared_ptr<file_state> state, std::int64_t offset, seek_from from);
    static coro<std::size_t> pread(std::shared_ptr<file_state> state, std::span<char> into, std::uint64_t offset);
    static coro<> pwrite(std::shared_ptr<file_state> state, std::string_view data, std::uint64_t offset);
    static coro<> sync(std::shared_ptr<file_state> state);
    static coro<std::uint64_t> size(std::shared_ptr<file_state> state);
    static coro<> truncate(std::shared_ptr<file_state> state, std::uint64_t size);
    static coro<> close(std::shared_ptr<file_state> state);

    std::shared_ptr<file_state> state_;
};

/// Opens a file. `permissions` are those of one that is created, less the umask. Throws `std::system_error` ("open
/// /nosuch: No such file or directory"), `std::invalid_argument` for a pipe or a socket, which `connect_read_pipe` and
/// `connect_write_pipe` are for, and `cancelled_error`. Cancel safety: nothing stays open; the file may have been
/// created or emptied.
coro<file> open_file(std::string path, open_mode mode = open_mode::read, unsigned permissions = 0666);

}  // namespace tercet::asyncio
