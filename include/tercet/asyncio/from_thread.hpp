#pragma once

#include <tercet/asyncio/coro.hpp>
#include <tercet/asyncio/event_loop.hpp>
#include <tercet/asyncio/run_coroutine_threadsafe.hpp>
#include <tercet/futures/job.hpp>

#include <type_traits>
#include <utility>

namespace tercet::asyncio::from_thread {

/// The loop of the `to_thread` call that runs on this thread. Throws `invalid_state_error` elsewhere.
event_loop& origin_loop();

/// Throws `invalid_state_error` on the thread of an event loop, which must not block.
void require_other_thread(const char* call);

/// Way of a call to the loop; one that does not arrive, because the loop ends before, is cancelled.
class call_on_its_way {
public:
    explicit call_on_its_way(job& work) noexcept : work_(&work) {}
    call_on_its_way(call_on_its_way&& other) noexcept : work_(std::exchange(other.work_, nullptr)) {}
    call_on_its_way& operator=(call_on_its_way&&) = delete;
    ~call_on_its_way() {
        if (work_) work_->discard();
    }
    void operator()() { std::exchange(work_, nullptr)->run(nullptr); }

private:
    job* work_;
};

/// Calls `fn(args...)` on the thread of `loop`, between its tasks, and blocks until it returns. Throws what `fn`
/// throws, `cancelled_error` when the loop ends before, and `invalid_state_error` when it has ended or runs on this
/// thread. Any other thread, as long as the loop exists. A thread that waits here cannot be cancelled.
template <class Fn, class... Args>
    requires std::is_invocable_v<Fn, Args...> call_result_t<Fn, Args...> run_sync(event_loop& loop, Fn fn,
                                                                                  Args... args) {
        require_other_thread("from_thread::run_sync");
        auto [work, result] = make_call(std::move(fn), std::move(args)...);
        loop.call_soon_threadsafe(call_on_its_way(*work));
        return std::move(result).result();
    }
/// The same on the loop from which this call of `to_thread` came.
template <class Fn, class... Args>
    requires std::is_invocable_v<Fn, Args...>
auto run_sync(Fn fn, Args... args) { return run_sync(origin_loop(), std::move(fn), std::move(args)...); }

/// Runs `work` as a task of `loop` and blocks until it is done. Throws as `run_sync` does, and what `work` throws.
template <class T>
T run(event_loop& loop, coro<T> work) {
    require_other_thread("from_thread::run");
    return run_coroutine_threadsafe(std::move(work), loop).result();
}
/// The same on the loop from which this call of `to_thread` came.
template <class T>
T run(coro<T> work) {
    return run(origin_loop(), std::move(work));
}

}  // namespace tercet::asyncio::from_thread
