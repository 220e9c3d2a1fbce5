#pragma once

#include <tercet/asyncio/coro.hpp>
#include <tercet/asyncio/stream_writer.hpp>

#include <cstdint>
#include <optional>

namespace tercet::asyncio {

/// Sends `count` bytes of the open file `file` from `offset` on, or all to its end when there is no `count`, behind
/// what was written before. Returns how many were sent: fewer than `count` when the file ends before. The kernel copies
/// them where it can; with TLS, or from what is no regular file, they are read and written here. Reading a file holds
/// up the loop while it comes from the disk. Meanwhile `write` throws, and `close` cuts the file off.
///
/// Throws `std::system_error`: "sendfile 127.0.0.1:80: Broken pipe", `ECONNABORTED` when the writer is closed here;
/// `invalid_state_error` when it was, or sends a file already; `tls_error`; `cancelled_error`. Cancel safety: how much
/// was sent is not known.
coro<std::uint64_t> sendfile(const stream_writer& writer, int file, std::uint64_t offset = 0,
                             std::optional<std::uint64_t> count = std::nullopt);

}  // namespace tercet::asyncio
