#pragma once

#include <tercet/asyncio/poller.hpp>

#include <liburing.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

namespace tercet::asyncio {

/// What a poll says that is over.
struct poll_report {
    readiness what = readiness::none;
    /// The descriptor, or what it leads to, cannot be watched any more: the caller is to find out by its own call, and
    /// the poll is not to begin again.
    bool has_failed = false;
};

/// `result` is that of a completion: the events of poll(2), or minus the error number.
poll_report report_of_poll(int result) noexcept;

/// Readiness and received bytes by io_uring. Everything is handed to the kernel once a turn, together with the wait.
class uring_poller final : public poller {
public:
    /// Null where the kernel, a sandbox or an administrator refuses io_uring, or where it cannot do what is needed.
    static std::unique_ptr<uring_poller> make_if_allowed();

    uring_poller(const uring_poller&) = delete;
    uring_poller& operator=(const uring_poller&) = delete;
    ~uring_poller() override;

    void add(io_source& source, readiness interest, trigger how) override;
    void modify(io_source& source, readiness interest, trigger how) override;
    void remove(io_source& source) noexcept override;
    void attach() override;
    void wait(std::optional<std::chrono::nanoseconds> limit) noexcept override;
    loop_backend backend() const noexcept override { return loop_backend::io_uring; }

    int connect_error(io_source& source) noexcept override;
    int accept(io_source& listener, socket_address& peer) noexcept override;
    ssize_t receive(io_source& source, std::span<char> into) noexcept override;
    ssize_t send(io_source& source, std::string_view data) noexcept override;
    ssize_t send_file(io_source& source, int file, off_t& offset, std::size_t count) noexcept override;

private:
    struct registration;
    struct request;

    uring_poller() noexcept = default;
    void start(const io_uring& ring) noexcept;
    void add_buffers() noexcept;
    void mark(registration& changed) noexcept;
    void want_write(io_source& source, ssize_t result) noexcept;
    void want_read(registration& waiting) noexcept;
    void queue_requests(unsigned most) noexcept;
    io_uring_sqe& next_entry() noexcept;
    void begin(request& begun) noexcept;
    void cancel(request& ended) noexcept;
    void reap(unsigned batches) noexcept;
    void complete(request& done, int result, std::uint32_t flags) noexcept;
    void complete_receive(registration& on, int result, std::uint32_t flags) noexcept;
    ssize_t take(registration& from, std::span<char> into) noexcept;
    ssize_t receive_directly(registration& from, std::span<char> into) noexcept;
    void give_back(std::uint16_t buffer) noexcept;

    io_uring ring_{};
    bool has_ring_ = false;
    bool is_enabled_ = false;
    std::uint64_t owner_ = 0;  // the number of the thread whose ring it is; 0: nobody's yet
    bool has_multishot_ = true;
    io_uring_buf_ring* buffer_ring_ = nullptr;
    char* buffers_ = nullptr;
    registration* first_ = nullptr;
    registration* changed_ = nullptr;
    registration** last_changed_ = &changed_;
};

}  // namespace tercet::asyncio
