// Two threads. The main one reads a request, runs it and writes the answer. The other waits for the end of the pool's
// process and of the connection, and ends this process at once, whatever the main one is busy with. The pool says
// goodbye to an idle worker by closing its sending half alone; that is for the main thread, which sees an end of file
// between two requests. The watcher sees a hang-up only when both halves are closed.

#include "worker_process.hpp"

#include <tercet/multiprocessing/remote_call.hpp>
#include <tercet/multiprocessing/remote_exception.hpp>

#include <fmt/format.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <iostream>
#include <limits>
#include <stdexcept>
#include <system_error>
#include <vector>

#include "end_process.hpp"
#include "frame.hpp"

namespace tercet::multiprocessing {

namespace {

struct lifelines {
    int socket;
    int parent;
};

void* watch(void* argument) {
    const auto watched = *static_cast<const lifelines*>(argument);
    pollfd ends[] = {{watched.socket, 0, 0}, {watched.parent, POLLIN, 0}};
    while (::poll(ends, 2, -1) < 0 && (errno == EINTR || errno == ENOMEM)) {
    }
    end_process(1);
}

/// Starts the watcher, with all signals blocked, so that handlers of the program run on the main thread.
void start_watcher(const lifelines& watched) {
    sigset_t all;
    sigset_t before;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_attr_t attributes;
    ::pthread_attr_init(&attributes);
    ::pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    ::pthread_attr_setstacksize(&attributes, std::size_t{256} << 10U);
    pthread_t thread{};
    const int error = ::pthread_create(&thread, &attributes, &watch, const_cast<lifelines*>(&watched));
    ::pthread_attr_destroy(&attributes);
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
    if (error != 0) throw std::system_error(error, std::system_category(), "pthread_create");
}

void flush_output() noexcept {
    try {
        std::cout.flush();
    } catch (...) {  // NOLINT(bugprone-empty-catch): the program asked for exceptions; nobody is left to hear of them
    }
    std::fflush(stdout);
}

class worker_process {
public:
    worker_process(unique_fd socket, unique_fd parent) : socket_(std::move(socket)), parent_(std::move(parent)) {}

    [[noreturn]] void run() {
        receive();
        if (reader_.head().kind != frame_kind::initialize) end_process(1);
        limit_ = reader_.head().detail;
        if (!initialize()) end_process(1);
        for (;;) {
            receive();
            if (reader_.head().kind != frame_kind::run) end_process(1);
            answer(frame_kind::result, [this](encoder& out) {
                decoder in(reader_.payload(), reader_.descriptors());
                run_request(in, out);
            });
            flush_output();
            send();
        }
    }

private:
    /// Waits for the next frame.
    void receive() {
        reader_.next();
        const auto status = reader_.read(socket_.get());
        if (status == frame_reader::status::complete) return;
        if (status != frame_reader::status::closed || reader_.has_begun()) end_process(1);
        std::fflush(nullptr);
        end_process(0);
    }

    bool initialize() {
        bool is_ready = false;
        answer(frame_kind::ready, [&](encoder&) {
            start_watcher(lifelines_);
            if (!reader_.payload().empty()) {
                decoder in(reader_.payload(), reader_.descriptors());
                encoder ignored;
                run_request(in, ignored);
            }
            is_ready = true;
        });
        flush_output();
        if (!is_ready) answer_kind(frame_kind::start_failed);
        send();
        return is_ready;
    }

    /// Makes the frame of what `work` writes, or of what it throws.
    template <class Work>
    void answer(frame_kind kind, Work work) {
        encoder out(std::move(frame_));
        out.buffer().resize(sizeof(frame_head));
        try {
            work(out);
            if (const auto size = out.buffer().size() - sizeof(frame_head); size > limit_)
                throw std::length_error(
                    fmt::format("process_pool_executor: a result of {} bytes; max_message_bytes is {}", size, limit_));
        } catch (...) {
            kind = frame_kind::error;
            out.buffer() = byte_buffer();
            out.buffer().resize(sizeof(frame_head));
            out.take_descriptors();
            write_error(out, std::current_exception());
        }
        frame_ = std::move(out.buffer());
        descriptors_ = out.take_descriptors();
        answer_kind(kind);
    }

    void answer_kind(frame_kind kind) { complete_frame(frame_, kind, static_cast<std::uint64_t>(::getpid())); }

    void write_error(encoder& out, const std::exception_ptr& error) {
        try {
            encode_exception(out, error);
            if (out.buffer().size() - sizeof(frame_head) <= limit_) return;
        } catch (...) {  // NOLINT(bugprone-empty-catch): no memory to say more
        }
        out.buffer().resize(sizeof(frame_head));  // an error without text, which the pool knows how to read
    }

    void send() {
        std::size_t sent = 0;
        if (send_bytes(socket_.get(), frame_.bytes(), sent, descriptors_) != io_status::done) end_process(1);
        descriptors_.clear();
        if (frame_.capacity() > kept_capacity) frame_ = byte_buffer();
    }

    static constexpr std::size_t kept_capacity = std::size_t{1} << 20U;

    unique_fd socket_;
    unique_fd parent_;
    lifelines lifelines_{socket_.get(), parent_.get()};
    frame_reader reader_{std::numeric_limits<std::int64_t>::max()};
    byte_buffer frame_;
    std::vector<unique_fd> descriptors_;
    std::uint64_t limit_ = 0;
};

}  // namespace

void run_worker(unique_fd socket, unique_fd parent) {
    sigset_t none;
    ::sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    worker_process(std::move(socket), std::move(parent)).run();
}

}  // namespace tercet::multiprocessing
