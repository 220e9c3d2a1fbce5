// Two threads. The main one takes a request from its ring, runs it and writes the answer into the other ring. What is
// too large for a ring, and what comes with file descriptors, goes through the socket; a short message in the ring
// keeps its place. The other thread waits for the end of the pool's process and of the connection, and ends this
// process at once, whatever the main one is busy with; it also lets shared memory go that is kept for calls which do
// not come (shared_segment.cpp). The pool says goodbye to an idle worker by a word in the shared memory.

#include "worker_process.hpp"

#include <tercet/futures/adaptive_spin.hpp>
#include <tercet/futures/futex.hpp>
#include <tercet/multiprocessing/remote_call.hpp>
#include <tercet/multiprocessing/remote_exception.hpp>
#include <tercet/multiprocessing/shared_segment.hpp>

#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <limits>
#include <span>
#include <stdexcept>
#include <system_error>
#include <vector>

#include "bell.hpp"
#include "bootstrap.hpp"
#include "crash_handler.hpp"
#include "detached_thread.hpp"
#include "end_process.hpp"
#include "frame.hpp"
#include "message_ring.hpp"
#include "output.hpp"
#include "stoppable_call.hpp"
#include "worker_segment.hpp"

namespace tercet::multiprocessing {

namespace {

constexpr std::chrono::seconds look_after_kept_every{1};

struct lifelines {
    int socket;
    int parent;
    int stop_bell;
};

void* watch(void* argument) {
    const auto watched = *static_cast<const lifelines*>(argument);
    pollfd ends[] = {{watched.socket, 0, 0}, {watched.parent, POLLIN, 0}, {watched.stop_bell, POLLIN, 0}};
    using clock = std::chrono::steady_clock;
    auto next_look = clock::time_point::max();  // at what is kept
    for (;;) {
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(next_look - clock::now());
        const bool has_kept = next_look != clock::time_point::max();
        const int count = ::poll(ends, 3, has_kept ? std::max(0, static_cast<int>(left.count())) : -1);
        if (count < 0 && (errno == EINTR || errno == ENOMEM)) continue;
        if (has_kept && clock::now() >= next_look)
            next_look =
                shared_segment::look_after_kept() ? clock::now() + look_after_kept_every : clock::time_point::max();
        if (count == 0) continue;
        if (count < 0 || ends[0].revents != 0 || ends[1].revents != 0) end_process(1);
        std::uint64_t rung = 0;
        if (::read(watched.stop_bell, &rung, sizeof rung) < 0 && errno != EAGAIN && errno != EINTR) end_process(1);
        look_whether_to_stop();
        if (next_look == clock::time_point::max() && shared_segment::has_kept())
            next_look = clock::now() + look_after_kept_every;
    }
}

constexpr std::size_t watcher_stack = std::size_t{256} << 10U;

class worker_process final : block_source {
public:
    worker_process(unique_fd socket, unique_fd parent) : socket_(std::move(socket)), parent_(std::move(parent)) {}

    [[noreturn]] void run() {
        receive();
        auto descriptors = reader_.descriptors();
        if (reader_.head().kind != frame_kind::initialize || descriptors.size() < initialize_descriptors)
            end_process(1);
        limit_ = reader_.head().detail;
        const auto segment = worker_segment::map(descriptors[0].get());
        install_crash_handler(segment.head().crash);
        bell_ = std::move(descriptors[1]);
        stop_bell_ = std::move(descriptors[2]);
        loop_bell_ = std::move(descriptors[3]);
        lifelines_.stop_bell = stop_bell_.get();
        descriptors[0].reset();
        shared_segment::begin_keeping(stop_bell_.get());
        if (!initialize(descriptors.subspan(initialize_descriptors))) end_process(1);

        rings both{segment.head(),
                   {segment.head().requests, segment.request_room()},
                   {segment.head().answers, segment.answer_room()}};
        rings_ = &both;
        for (;;) serve(both);
    }

private:
    using clock = std::chrono::steady_clock;

    struct rings {
        worker_segment::layout& head;
        ring_reader requests;
        ring_writer answers;
    };

    /// Receives the next frame from the socket.
    void receive() {
        reader_.next();
        if (reader_.read(socket_.get()) != frame_reader::status::complete) end_process(1);
    }

    bool initialize(std::span<unique_fd> descriptors) {
        bool is_ready = false;
        auto kind = answer(frame_kind::ready, [&](encoder&) {
            start_detached_thread(&watch, &lifelines_, watcher_stack);
            if (!reader_.payload().empty()) {
                decoder in(reader_.payload(), descriptors, std::numeric_limits<std::uint64_t>::max());
                encoder ignored;
                run_request(in, ignored);
            }
            is_ready = true;
        });
        flush_output();
        if (!is_ready) kind = frame_kind::start_failed;
        send(kind);
        return is_ready;
    }

    /// Waits for a request, runs it and answers.
    void serve(rings& shared) {
        const auto message = next_request(shared);
        std::uint32_t as_sent = ring_record::ready;
        if (!message.record->at.compare_exchange_strong(as_sent, ring_record::claimed)) {
            shared.requests.take();
            shared.requests.release();
            return;
        }
        const auto begin = clock::now();
        if (block_.capacity() != 0 && begin - block_was_used_ > keep_block && shared.answers.is_all_read())
            block_.reset();
        set_current_call(message.record);
        auto kind = frame_kind::error;
        if (static_cast<ring_kind>(message.kind) == ring_kind::run) {
            kind = run(message.payload, {});
        } else {
            receive();
            if (reader_.head().kind != frame_kind::run) end_process(1);
            kind = run(reader_.payload(), reader_.descriptors());
            reader_.next();
        }
        flush_output();
        set_current_call(nullptr);
        shared.requests.take();
        shared.requests.release();
        give_answer(shared, kind, static_cast<std::uint64_t>((clock::now() - begin).count()));
    }

    frame_kind run(std::span<const std::byte> request, std::span<unique_fd> descriptors) {
        return answer(frame_kind::result, [&](encoder& out) {
            decoder in(request, descriptors, std::numeric_limits<std::uint64_t>::max());
            run_request(in, out);
        });
    }

    /// The next request; ends the process when there will be none.
    ring_reader::message next_request(rings& shared) {
        for (;;) {
            const auto is_wanted = [&] {
                return shared.requests.has_message() || shared.head.is_closed.load(std::memory_order_acquire) != 0;
            };
            // While more requests wait, who has sent them looks for answers by itself.
            if (has_unsignalled_ && !shared.requests.has_message()) signal_pool(shared);
            if (!spin_.until(is_wanted)) sleep_until(shared, is_wanted, block_.capacity() != 0);
            const auto message = shared.requests.front();
            if (message.record) return message;
            if (shared.requests.is_malformed()) end_process(1);
            if (shared.head.is_closed.load(std::memory_order_acquire) == 0) continue;
            if (!is_forked_from_program()) std::fflush(nullptr);  // else there are buffers that are its parent's
            end_process(0);
        }
    }

    /// Publishes the answer that `frame_` holds.
    void give_answer(rings& shared, frame_kind kind, std::uint64_t nanoseconds) {
        const auto payload = frame_.bytes().subspan(sizeof(frame_head));
        const bool is_small = descriptors_.empty() && payload.size() <= shared.answers.max_payload();
        while (!shared.answers.has_room(is_small ? payload.size() : 0)) {
            if (shared.answers.is_malformed()) end_process(1);
            signal_pool(shared);
            sleep_until(shared, [&] { return shared.answers.has_room(is_small ? payload.size() : 0); });
        }
        if (is_small) {
            const auto as = kind == frame_kind::result ? ring_kind::result : ring_kind::error;
            shared.answers.write(static_cast<std::uint32_t>(as), nanoseconds, payload);
        } else {
            shared.answers.write(static_cast<std::uint32_t>(ring_kind::answer_in_socket), nanoseconds, {});
            send(kind);
        }
        has_unsignalled_ = true;
    }

    /// Sleeps unless `is_over()`; the pool's side changes that and then looks at `worker_sleeps`. May give the memory
    /// of large results back after a while.
    template <class Condition>
    void sleep_until(rings& shared, Condition is_over, bool is_idle = false) {
        auto& sleeps = shared.head.worker_sleeps;
        const auto limit = is_idle ? clock::now() + keep_block : clock::time_point::max();
        sleeps.store(1, std::memory_order_relaxed);
        std::atomic_thread_fence(std::memory_order_seq_cst);
        if (!is_over()) futex_wait(sleeps, 1, limit, futex_scope::shared);
        sleeps.store(0, std::memory_order_relaxed);
        if (is_idle && !is_over() && clock::now() >= limit && shared.answers.is_all_read()) block_.reset();
    }

    /// A place for a large result: there is one, which the pool must have read.
    message_block* block() noexcept override {
        if (!rings_) return nullptr;  // an initializer's result
        if (has_unsignalled_) signal_pool(*rings_);
        const auto is_free = [this] { return rings_->answers.is_all_read(); };
        while (!is_free()) sleep_until(*rings_, is_free);
        if (block_.is_too_large()) block_.reset();
        block_.clear();
        block_was_used_ = clock::now();
        return &block_;
    }

    void signal_pool(rings& shared) {
        has_unsignalled_ = false;
        std::atomic_thread_fence(std::memory_order_seq_cst);
        if (shared.head.signal.load(std::memory_order_relaxed) == answer_signal::none) return;
        switch (shared.head.signal.exchange(answer_signal::none, std::memory_order_acq_rel)) {
            case answer_signal::none:
                break;
            case answer_signal::ring_bell:
                ring(bell_.get());
                break;
            case answer_signal::ring_loop_bell:
                ring(loop_bell_.get());
                break;
            case answer_signal::wake_waiter:
                shared.head.waiter.fetch_add(1, std::memory_order_release);
                futex_wake(shared.head.waiter, 1, futex_scope::shared);
                break;
        }
    }

    /// Makes the frame of what `work` writes, or of what it throws; returns `kind`, or that of an error.
    template <class Work>
    frame_kind answer(frame_kind kind, Work work) {
        encoder out(std::move(frame_), this);
        out.buffer().resize(sizeof(frame_head));
        try {
            work(out);
            if (const auto size = out.buffer().size() - sizeof(frame_head) + out.block_size(); size > limit_)
                throw std::length_error(
                    fmt::format("process_pool_executor: a result of {} bytes; max_message_bytes is {}", size, limit_));
        } catch (...) {
            kind = frame_kind::error;
            out = encoder();  // the text of an error stands in the message, however long it is
            out.buffer().resize(sizeof(frame_head));
            write_error(out, std::current_exception());
        }
        frame_ = std::move(out.buffer());
        descriptors_ = out.take_descriptors();
        return kind;
    }

    void write_error(encoder& out, const std::exception_ptr& error) {
        try {
            encode_exception(out, error);
            if (out.buffer().size() - sizeof(frame_head) <= limit_) return;
        } catch (...) {  // NOLINT(bugprone-empty-catch): no memory to say more
        }
        out.buffer().resize(sizeof(frame_head));  // an error without text, which the pool knows how to read
    }

    /// Sends what `answer` has made through the socket.
    void send(frame_kind kind) {
        complete_frame(frame_, kind, static_cast<std::uint64_t>(::getpid()));
        std::size_t sent = 0;
        if (send_bytes(socket_.get(), frame_.bytes(), sent, descriptors_) != io_status::done) end_process(1);
        descriptors_.clear();
        if (frame_.capacity() > kept_capacity) frame_ = byte_buffer();
    }

    static constexpr std::size_t kept_capacity = std::size_t{1} << 20U;
    static constexpr std::chrono::seconds keep_block{1};

    unique_fd socket_;
    unique_fd parent_;
    unique_fd bell_;
    unique_fd stop_bell_;
    unique_fd loop_bell_;
    lifelines lifelines_{socket_.get(), parent_.get(), -1};
    frame_reader reader_{std::numeric_limits<std::int64_t>::max()};
    byte_buffer frame_;
    std::vector<unique_fd> descriptors_;
    std::uint64_t limit_ = 0;
    rings* rings_ = nullptr;
    message_block block_;
    clock::time_point block_was_used_;
    bool has_unsignalled_ = false;  // answers that the pool was not told of
    adaptive_spin spin_;
};

}  // namespace

void run_worker(unique_fd socket, unique_fd parent) {
    sigset_t none;
    ::sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    // What its calls start belongs to its group, so that it can be ended with it; the terminal is another group's then.
    ::setpgid(0, 0);
    for (const int each : {SIGTTIN, SIGTTOU}) std::signal(each, SIG_IGN);
    worker_process(std::move(socket), std::move(parent)).run();
}

}  // namespace tercet::multiprocessing
