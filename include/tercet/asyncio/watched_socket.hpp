#pragma once

#include <tercet/asyncio/poller.hpp>
#include <tercet/asyncio/suspension.hpp>

#include <cstdint>

namespace tercet::asyncio {

class event_loop;
class io_operation;

/// A socket of a loop: registered once, edge-triggered, for both directions. It owns the descriptor. One operation may
/// wait in each direction.
class watched_socket : public io_source {
public:
    enum class direction : std::uint8_t { reading, writing };

    /// Takes over `descriptor`, which does not block.
    watched_socket(event_loop& loop, int descriptor) noexcept : io_source(descriptor), loop_(&loop) {}
    virtual ~watched_socket() { close_descriptor(); }

    /// Begins to watch. Throws `std::system_error`.
    void watch(trigger how = trigger::edge);
    bool is_open() const noexcept { return descriptor_ >= 0; }
    /// Operations that wait end with `ECONNABORTED`.
    void close_descriptor() noexcept { close_descriptor(&socket_calls::close); }
    /// The same; the peer sees a reset.
    void reset_descriptor() noexcept { close_descriptor(&socket_calls::reset); }
    /// Reads that wait, and all that come, end with `ECONNABORTED`.
    void end_reading() noexcept;
    /// Open, and not closed for reading.
    bool is_readable() const noexcept { return is_open() && !is_reading_over_; }

    void on_ready(readiness what) noexcept override;
    void on_loop_end() noexcept override;

protected:
    friend class io_operation;

    bool may_read() const noexcept { return may_read_; }
    bool may_write() const noexcept { return may_write_; }
    event_loop* loop() const noexcept { return loop_; }
    /// While the loop has not ended.
    socket_calls& sockets() const noexcept;

    /// Closes `descriptor`, which is watched no more. A class that overrides this calls `close_descriptor` in its
    /// destructor.
    virtual void give_back(int descriptor, void (socket_calls::*how)(int) noexcept) noexcept;

    /// The kernel has nothing more for now: the next operation waits for an edge. After a hang-up none may come.
    void drained_reading() noexcept { may_read_ = is_hung_up_; }
    void filled_writing() noexcept { may_write_ = false; }

private:
    void end_waiting(io_operation*& slot, bool by_closing) noexcept;
    void close_descriptor(void (socket_calls::*how)(int) noexcept) noexcept;

    event_loop* loop_;
    io_operation* reading_ = nullptr;
    io_operation* writing_ = nullptr;
    bool is_watched_ = false;
    bool may_read_ = true;
    bool may_write_ = true;
    bool is_hung_up_ = false;
    bool is_reading_over_ = false;
};

/// A system call that is tried at once, and again whenever the socket is ready, until it does not have to wait.
class io_operation : public suspension {
protected:
    io_operation(watched_socket& on, watched_socket::direction which) noexcept : socket_(on), direction_(which) {}
    ~io_operation() = default;

    /// One try. False: it would have to wait. True: the result, or the error, is there.
    virtual bool attempt() noexcept = 0;

    void fail(int error) noexcept { error_ = error; }
    /// 0, or the error number.
    int error() const noexcept { return error_; }

    /// Whether another operation waits in the same direction: an error of the caller.
    bool was_busy() const noexcept { return was_busy_; }

    void drained_reading() noexcept { socket_.drained_reading(); }
    void filled_writing() noexcept { socket_.filled_writing(); }
    int descriptor() const noexcept { return socket_.descriptor(); }
    socket_calls& sockets() const noexcept { return socket_.sockets(); }

    bool begin() noexcept override;

private:
    friend class watched_socket;

    bool abandon() noexcept override;
    io_operation*& slot() const noexcept {
        return direction_ == watched_socket::direction::reading ? socket_.reading_ : socket_.writing_;
    }

    watched_socket& socket_;
    watched_socket::direction direction_;
    bool was_busy_ = false;
    int error_ = 0;
};

}  // namespace tercet::asyncio
