#pragma once

#include <tercet/asyncio/ready_queue.hpp>
#include <tercet/asyncio/suspension.hpp>
#include <tercet/futures/parker.hpp>
#include <tercet/futures/time_limit.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <mutex>

namespace tercet::asyncio {

class inbox;

/// The waiting of a `thread_queue`, whose items it does not know: a mutex, and lines in which threads and tasks stand
/// together. The rules stand in thread_queue_gate.cpp.
class thread_queue_gate {
public:
    enum class ending : std::uint8_t { done, timed_out, shut_down };
    using guard_type = std::unique_lock<std::mutex>;

    /// One who waits: a thread with a parker, or a task with a loop.
    class party {
    public:
        party(const party&) = delete;
        party& operator=(const party&) = delete;
        ending ended() const noexcept { return ended_; }
        /// The item that it puts, or the `std::optional` into which it gets; null for one who joins.
        void* cargo() const noexcept { return cargo_; }

    protected:
        explicit party(void* cargo) noexcept : cargo_(cargo) {}
        ~party() = default;
        ending ended_ = ending::done;

    private:
        friend class thread_queue_gate;
        virtual void wake() noexcept = 0;

        void* cargo_;
        party* previous_ = nullptr;
        party* next_ = nullptr;
        bool is_in_line_ = false;
    };

    /// First come, first served. With the mutex held.
    class line {
    public:
        party* front() const noexcept { return first_; }
        bool empty() const noexcept { return first_ == nullptr; }
        void add(party& last) noexcept;
        void remove(party& leaving) noexcept;

    private:
        party* first_ = nullptr;
        party* last_ = nullptr;
    };

    /// Those who were given what they waited for; they wake when this goes. Declared before the guard, it goes after
    /// it: who wakes does not find the mutex taken.
    class awakened {
    public:
        awakened() noexcept = default;
        awakened(const awakened&) = delete;
        awakened& operator=(const awakened&) = delete;
        ~awakened();
        /// Takes the first of `from` out, to be woken.
        void take(line& from) noexcept;
        void take_all(line& from) noexcept;

    private:
        line parties_;
    };

    /// The place of a thread in a line.
    class thread_party final : public party {
    public:
        explicit thread_party(void* cargo) noexcept : party(cargo) {}
        /// Waits up to `limit` in `in`, without the guard; with zero it does not even stand there. Returns how it
        /// ended.
        ending wait(line& in, guard_type& guard, time_limit limit) noexcept;

    private:
        void wake() noexcept final { parker_.unpark(); }
        parker parker_;
    };

    /// The wait of a task. The awaiters try under the mutex, and stand in line if they must.
    class task_party : public suspension, public party, private ready_node {
    protected:
        task_party(thread_queue_gate& gate, void* cargo) noexcept : party(cargo), ready_node(&arrive), gate_(gate) {}
        ~task_party() = default;

        /// To be called in `begin`, with the mutex held.
        void wait_in(line& in) noexcept;
        bool abandon() noexcept final;
        void end_by_shutdown() noexcept { ended_ = ending::shut_down; }

    private:
        void wake() noexcept final;
        static void arrive(ready_node& self, reason why) noexcept;

        thread_queue_gate& gate_;
        line* line_ = nullptr;
        inbox* inbox_ = nullptr;
    };

    explicit thread_queue_gate(std::size_t maxsize) noexcept : maxsize_(maxsize) {}

    std::mutex& mutex() const noexcept { return mutex_; }
    std::size_t maxsize() const noexcept { return maxsize_; }
    bool is_shut_down() const noexcept { return is_shut_down_; }
    /// With the mutex held: from here on nobody waits.
    void shut_down(awakened& woken) noexcept;
    line& getters() noexcept { return getters_; }
    line& putters() noexcept { return putters_; }

    /// The wait of a task until all is done.
    class join_awaiter final : public task_party {
    public:
        explicit join_awaiter(thread_queue_gate& gate) noexcept : task_party(gate, nullptr), gate_(gate) {}
        void await_resume() const { throw_if_cancelled(); }

    private:
        bool begin() noexcept override;
        thread_queue_gate& gate_;
    };

    /// One more item to be done. With the mutex held, as the next.
    void has_put() noexcept { ++unfinished_; }
    /// False, and nothing changed, when there are fewer than `count` that are not done.
    bool task_done(std::size_t count, awakened& woken) noexcept;
    /// So many items are gone, of which some may have been called done too early.
    void drop(std::size_t count, awakened& woken) noexcept { task_done(std::min(count, unfinished_), woken); }
    /// Whether all was done within `limit`.
    bool join(time_limit limit) noexcept;

    /// Throws `invalid_state_error` on the thread of a loop that runs, which must not block, unless `limit` is zero.
    static void require_no_loop(time_limit limit, const char* method, const char* instead);

private:
    static void end_all(line& of, awakened& woken) noexcept;

    mutable std::mutex mutex_;
    line getters_;
    line putters_;
    line joiners_;
    std::size_t unfinished_ = 0;
    const std::size_t maxsize_;
    bool is_shut_down_ = false;
};

}  // namespace tercet::asyncio
