#pragma once

#include <tercet/asyncio/wait_list.hpp>

#include <cstddef>
#include <cstdint>
#include <exception>
#include <limits>

namespace tercet::asyncio {

/// What the queues share that does not depend on their items: the bound, the lines of those who wait, the count of
/// items that are not dealt with. The rules stand in queue_gate.cpp.
class queue_gate {
public:
    static constexpr std::size_t unbounded = std::numeric_limits<std::size_t>::max();

    /// A put or a get on its way: base of their awaiters.
    class party : public wait_list::waiter {
    public:
        enum class ending : std::uint8_t { done, shut_down, failed };

    protected:
        party() noexcept = default;
        ~party() = default;

        void fail(std::exception_ptr error) noexcept {
            error_ = std::move(error);
            ended_ = ending::failed;
        }
        void end_by_shutdown() noexcept { ended_ = ending::shut_down; }
        bool has_ended_by_shutdown() const noexcept { return ended_ == ending::shut_down; }
        /// Throws what ended the wait without an item, but `queue_shutdown`.
        void throw_if_failed() const {
            throw_if_not_woken();
            if (ended_ == ending::failed) [[unlikely]]
                std::rethrow_exception(error_);
        }

    private:
        friend class queue_gate;
        ending ended_ = ending::done;
        std::exception_ptr error_;
    };

    class join_awaiter final : public wait_list::waiter {
    public:
        explicit join_awaiter(queue_gate& owner) noexcept : owner_(owner) {}
        void await_resume() const { throw_if_not_woken(); }

    private:
        bool begin() noexcept override;
        queue_gate& owner_;
    };

    explicit queue_gate(std::size_t maxsize) noexcept : maxsize_(maxsize) {}

    std::size_t maxsize() const noexcept { return maxsize_; }
    void set_maxsize(std::size_t maxsize) noexcept { maxsize_ = maxsize; }
    bool is_shut_down() const noexcept { return is_shut_down_; }
    /// From here on nobody waits to put or to get.
    void shut_down() noexcept;

    wait_list& getters() noexcept { return getters_; }
    wait_list& putters() noexcept { return putters_; }

    void has_put() noexcept { ++unfinished_; }
    /// Throws `std::invalid_argument` when there are fewer than `count` that are not done.
    void task_done(const char* queue, std::size_t count);
    /// So many items are gone, of which some may have been called done too early.
    void drop(std::size_t count) noexcept;
    [[nodiscard]] join_awaiter join() noexcept { return join_awaiter(*this); }

private:
    wait_list getters_;
    wait_list putters_;
    wait_list joiners_;
    std::size_t maxsize_;
    std::size_t unfinished_ = 0;
    bool is_shut_down_ = false;
};

}  // namespace tercet::asyncio
