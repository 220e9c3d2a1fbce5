#pragma once

#include <tercet/futures/answer_source.hpp>
#include <tercet/futures/future_state.hpp>
#include <tercet/futures/submit_options.hpp>
#include <tercet/multiprocessing/measured.hpp>
#include <tercet/multiprocessing/remote_call.hpp>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace tercet::multiprocessing {

class remote_task;
struct ring_record;
struct worker_channel;

/// A pool, to a thread, or an event loop, that waits for one of its calls.
class call_driver : public answer_source {
public:
    /// Does the pool's work for `task` on this thread, as far as it can, until the call is over or `deadline` passes.
    /// Returns whether the call is over. Runs no callbacks.
    virtual bool drive(remote_task& task, std::chrono::steady_clock::time_point deadline) noexcept = 0;
    /// Asks a call that runs to stop. Any thread.
    virtual void ask_to_stop(remote_task& task) noexcept = 0;

protected:
    call_driver() noexcept = default;
    ~call_driver() = default;
};

/// A call on its way through a pool of processes: a request in bytes, and a future that waits for the answer.
/// Intrusive. `begin` says whether to go on; one of the other functions ends the task and is the last use of it.
class remote_task {
public:
    remote_task(const remote_task&) = delete;
    remote_task& operator=(const remote_task&) = delete;

    /// The call is given to a worker. False: it was cancelled; `discard` it.
    virtual bool begin() noexcept = 0;
    /// Finishes the future with the result in `answer`, or with the `decode_error` of reading it.
    virtual void succeed(decoder& answer, finish_observer* observer = nullptr) noexcept = 0;
    /// Fails the call, unless it was cancelled.
    virtual void fail(std::exception_ptr error, finish_observer* observer = nullptr) noexcept = 0;
    /// Cancels the call, which no worker has.
    virtual void discard() noexcept = 0;
    /// Fails the call with `timeout_error`, unless it is over. The task stays: one of the others ends it.
    virtual void expire(const char* what) noexcept = 0;
    /// Whether the call is over.
    virtual bool is_over() const noexcept = 0;

    using clock = std::chrono::steady_clock;

    /// What a call with options has in addition.
    struct limits_type {
        submit_options options{};
        clock::time_point deadline = clock::time_point::max();  ///< by when it must be done
        bool has_begun = false;                                 ///< and the deadline knows of the time limit
        unsigned retries_left = 0;
    };

    /// For error texts: its name, or "a task".
    std::string label() const { return has_name() ? "'" + limits->options.name + "'" : "a task"; }
    bool has_name() const noexcept { return limits && !limits->options.name.empty(); }
    int priority() const noexcept { return limits ? limits->options.priority : 0; }
    clock::time_point deadline() const noexcept { return limits ? limits->deadline : clock::time_point::max(); }
    bool can_retry() const noexcept { return limits && limits->retries_left != 0; }

    /// A message frame; its head is filled in when it is sent.
    byte_buffer request;
    std::vector<unique_fd> descriptors;  ///< that go with it
    /// In which large parts of it are, or null. Until the call is over: a worker that was given up may read it still.
    std::unique_ptr<message_block> block;
    std::size_t sent_bytes = 0;  ///< how large the arguments are, for statistics
    /// How large it is.
    std::size_t request_size() const noexcept { return request.size() + (block ? block->size() : 0); }
    /// Lets go of what was sent.
    void drop_request() noexcept {
        request = byte_buffer();
        descriptors.clear();
    }
    /// Of all that the call had to say.
    void drop_arguments() noexcept {
        drop_request();
        block.reset();
    }

    /// Null for a call without options.
    std::unique_ptr<limits_type> limits;
    /// The pool. Set before the call is in its queue.
    std::shared_ptr<call_driver> driver;
    /// The queue's link, and its place among all: lower is first.
    remote_task* next = nullptr;
    std::int64_t rank = 0;

    // The pool's, under its mutex.
    worker_channel* worker = nullptr;                        ///< who has the call
    std::uint64_t record_end = 0;                            ///< as of the ring's writer
    ring_record* record = nullptr;                           ///< where it stands in that worker's ring
    bool is_to_stop = false;                                 ///< its call, wherever it is made
    bool is_to_be_cancelled = false;                         ///< although it runs
    clock::time_point queued_at = clock::time_point::min();  ///< of one in so many, for statistics
    std::exception_ptr failure;                              ///< how the call is going to end
    const char* expiry_text = nullptr;                       ///< the same

protected:
    remote_task() noexcept = default;
    ~remote_task() = default;
};

/// A task whose result is what `Call` returns.
template <class Call>
class task_of final : public future_state<typename Call::result_type>, public remote_task {
public:
    bool begin() noexcept override { return !is_decided_.load(std::memory_order_acquire) && this->start(); }

    void succeed(decoder& in, finish_observer* observer) noexcept override {
        std::exception_ptr error;
        try {
            if constexpr (std::is_void_v<typename Call::result_type>) {
                Call::decode_result(in);
                this->emplace();
            } else {
                const std::size_t before = in.left();
                this->emplace(Call::decode_result(in));
                if constexpr (detail::is_measured<typename Call::result_type>) {
                    this->value().statistics.sent_bytes = sent_bytes;
                    this->value().statistics.received_bytes = before - in.left() + in.bytes_in_blocks();
                }
            }
        } catch (...) {
            error = std::current_exception();
        }
        drop_arguments();  // a future that is kept must not keep what the call held
        if (decide()) error ? this->finish(std::move(error), observer) : this->finish(observer);
        this->release();
    }

    void fail(std::exception_ptr error, finish_observer* observer) noexcept override {
        drop_arguments();
        if (decide() && this->start()) this->finish(std::move(error), observer);
        this->release();
    }

    void discard() noexcept override {
        drop_arguments();
        if (decide() && !this->cancel() && this->is_running()) this->finish_cancelled();  // begun, and put back
        this->release();
    }

    void expire(const char* what) noexcept override {
        if (!decide() || !this->start()) return;
        this->finish(exception_of([&] { return timeout_error("process_pool_executor: " + label() + " " + what); }));
    }

    bool is_over() const noexcept override { return this->is_done(); }

    bool work_instead_of_waiting(clock::time_point deadline) noexcept override {
        return driver && driver->drive(*this, deadline);
    }

    std::shared_ptr<answer_source> answers() noexcept override { return driver; }

private:
    void request_stop() noexcept override {
        if constexpr (Call::is_stoppable)
            if (driver) driver->ask_to_stop(*this);
    }

    /// Who may end the call; a deadline may pass while the pool ends it otherwise. A cancellation needs no leave.
    bool decide() noexcept { return !is_decided_.exchange(true, std::memory_order_acq_rel); }
    const char* origin() const noexcept override {
        return has_name() ? limits->options.name.c_str() : "a call in a process_pool_executor";
    }

    std::atomic<bool> is_decided_{false};
};

}  // namespace tercet::multiprocessing
