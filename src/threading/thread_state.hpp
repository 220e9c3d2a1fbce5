#pragma once

#include <tercet/threading/event.hpp>
#include <tercet/threading/quick_lock.hpp>
#include <tercet/threading/thread.hpp>

#include <pthread.h>

#include <atomic>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>

namespace tercet::threading {

/// One thread: shared by its `thread`, its handles, and itself while it runs. See thread.cpp.
class thread_state : public std::enable_shared_from_this<thread_state> {
public:
    enum class kind_type { own, main, dummy };
    enum class stage_type { made, running, over };

    thread_state(kind_type kind, std::string name) : kind_(kind), name_(std::move(name)) {}

    /// The calling thread, which is running.
    void adopt_calling_thread();
    void start(std::size_t stack_size);
    bool join(time_limit limit);
    void wait_until_over() noexcept;
    /// The `thread` of it goes. Nobody else will join.
    void abandon() noexcept;
    /// The calling thread is the only one left: it is not this one.
    void is_lost_in_fork() noexcept;
    void becomes_main_in_fork() noexcept;

    std::string name() const;
    void set_name(std::string name);
    bool is_calling_thread() const noexcept { return ident == get_ident(); }

    std::atomic<kind_type> kind_;
    std::atomic<stage_type> stage{stage_type::made};
    std::atomic<std::uint64_t> ident{0};
    std::atomic<int> native_id{0};
    bool daemon = false;
    std::size_t stack_size = 0;
    std::move_only_function<void(std::stop_token)> body;
    std::stop_source stop;

private:
    static void* run(void* self);
    void body_is_over(std::exception_ptr error) noexcept;
    void reap() noexcept;
    void report(std::exception_ptr error) noexcept;
    std::exception_ptr take_error() noexcept;

    mutable quick_lock mutex_;
    std::string name_;             // under mutex_, as all that follows
    std::optional<pthread_t> id_;  // while it may be named, joined or detached
    bool is_abandoned_ = false;
    std::exception_ptr error_;
    event runs_;
    event is_over_;
    quick_lock joining_;
};

}  // namespace tercet::threading
