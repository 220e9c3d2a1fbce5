#pragma once

#include <tercet/asyncio/poller.hpp>
#include <tercet/asyncio/suspension.hpp>

namespace tercet::asyncio {

/// The wait for a descriptor of somebody else: a library's, a device's, an eventfd.
class descriptor_wait final : public suspension {
public:
    descriptor_wait(int descriptor, readiness what) noexcept : descriptor_(descriptor), what_(what) {}
    void await_resume() const;

private:
    bool begin() noexcept override;
    bool abandon() noexcept override;

    int descriptor_;
    readiness what_;
    int error_ = 0;
    bool is_busy_ = false;
};

/// Waits until `descriptor` can be read without blocking, has ended, or has failed; which of these, its own read says.
/// The descriptor must stay open meanwhile. Each wait costs two system calls besides the loop's: for traffic make a
/// stream of it (`connect_read_pipe`). Throws `std::system_error` for what has no readiness, as files ("watch
/// descriptor 7: Operation not permitted"), `invalid_state_error` while another coroutine, or a reader of the loop,
/// waits for the same, and `cancelled_error`. Cancel safety: nothing to lose.
[[nodiscard]] inline descriptor_wait readable(int descriptor) noexcept { return {descriptor, readiness::readable}; }
/// The same for writing.
[[nodiscard]] inline descriptor_wait writable(int descriptor) noexcept { return {descriptor, readiness::writable}; }

}  // namespace tercet::asyncio
