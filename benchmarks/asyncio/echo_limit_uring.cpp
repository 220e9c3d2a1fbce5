// The least that echoes with io_uring: receives that go on by themselves into buffers that the kernel chooses, and one
// send at a time for each connection, straight from there.

#include <liburing.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <deque>
#include <stdexcept>
#include <vector>

#include "echo.hpp"
#include "echo_listener.hpp"

namespace tercet::benchmarks {

namespace {

constexpr unsigned entries = 4096;
constexpr std::size_t buffer_size = std::size_t{128} << 10;
constexpr std::uint16_t buffer_count = 256;

enum class kind : std::uint64_t { accept, receive, send };

class uring_server {
public:
    uring_server() {
        io_uring_params how{};
        how.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_SUBMIT_ALL;
        const auto map = [](std::size_t size) {
            return ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
        };
        buffers_ = static_cast<char*>(map(buffer_size * buffer_count));
        free_ = static_cast<io_uring_buf_ring*>(map(buffer_count * sizeof(io_uring_buf)));
        io_uring_buf_reg where{};
        where.ring_addr = reinterpret_cast<std::uintptr_t>(free_);
        where.ring_entries = buffer_count;
        if (::io_uring_queue_init_params(entries, &ring_, &how) != 0 ||
            ::io_uring_register_buf_ring(&ring_, &where, 0) != 0)
            throw std::runtime_error("the kernel refuses this io_uring");
        ::io_uring_buf_ring_init(free_);
        for (std::uint16_t each = 0; each < buffer_count; ++each) give_back(each);
    }

    [[noreturn]] void serve() {
        listener_ = listen_on_loopback(0);
        begin(kind::accept, listener_);
        tell_port(port_of(listener_));
        std::array<io_uring_cqe*, 256> done;
        for (;;) {
            ::io_uring_submit_and_wait(&ring_, 1);
            const unsigned count = ::io_uring_peek_batch_cqe(&ring_, done.data(), done.size());
            for (unsigned i = 0; i < count; ++i) complete(*done[i]);
            ::io_uring_cq_advance(&ring_, count);
        }
    }

private:
    struct filled {
        std::uint16_t buffer;
        std::size_t size;
    };

    void begin(kind what, int descriptor) {
        io_uring_sqe* entry = ::io_uring_get_sqe(&ring_);
        while (!entry) {
            ::io_uring_submit(&ring_);
            entry = ::io_uring_get_sqe(&ring_);
        }
        switch (what) {
            case kind::accept:
                ::io_uring_prep_multishot_accept(entry, descriptor, nullptr, nullptr, SOCK_CLOEXEC);
                break;
            case kind::receive:
                ::io_uring_prep_recv_multishot(entry, descriptor, nullptr, 0, 0);
                entry->flags |= IOSQE_BUFFER_SELECT;
                break;
            case kind::send: {
                const filled& next = unsent_[static_cast<std::size_t>(descriptor)].front();
                ::io_uring_prep_send(entry, descriptor, buffers_ + buffer_size * next.buffer, next.size,
                                     MSG_NOSIGNAL | MSG_WAITALL);
            }
        }
        ::io_uring_sqe_set_data64(entry,
                                  static_cast<std::uint64_t>(descriptor) << 2 | static_cast<std::uint64_t>(what));
    }

    void complete(const io_uring_cqe& done) {
        const auto what = static_cast<kind>(done.user_data & 3);
        const auto descriptor = static_cast<int>(done.user_data >> 2);
        if (what == kind::accept) {
            const int on = 1;
            ::setsockopt(done.res, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
            unsent_.resize(std::max(unsent_.size(), static_cast<std::size_t>(done.res) + 1));
            begin(kind::receive, done.res);
            if (!(done.flags & IORING_CQE_F_MORE)) begin(kind::accept, descriptor);
            return;
        }
        auto& unsent = unsent_[static_cast<std::size_t>(descriptor)];
        if (what == kind::send) {
            give_back(unsent.front().buffer);
            unsent.pop_front();
            if (!unsent.empty()) begin(kind::send, descriptor);
            return;
        }
        if (done.res > 0) {
            unsent.push_back({static_cast<std::uint16_t>(done.flags >> IORING_CQE_BUFFER_SHIFT),
                              static_cast<std::size_t>(done.res)});
            if (unsent.size() == 1) begin(kind::send, descriptor);
        } else if (done.res == 0) {
            ::close(descriptor);
            return;
        }
        if (!(done.flags & IORING_CQE_F_MORE)) begin(kind::receive, descriptor);  // there was no buffer left
    }

    void give_back(std::uint16_t buffer) {
        ::io_uring_buf_ring_add(free_, buffers_ + buffer_size * buffer, buffer_size, buffer,
                                ::io_uring_buf_ring_mask(buffer_count), 0);
        ::io_uring_buf_ring_advance(free_, 1);
    }

    io_uring ring_{};
    char* buffers_;
    io_uring_buf_ring* free_;
    int listener_ = -1;
    std::vector<std::deque<filled>> unsent_;  // by descriptor
};

void serve_raw() { uring_server().serve(); }

const contender entered("limit/io_uring", echo_rows<serve_raw>());

}  // namespace

}  // namespace tercet::benchmarks
