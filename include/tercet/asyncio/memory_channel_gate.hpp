#pragma once

#include <tercet/asyncio/wait_list.hpp>

#include <cstddef>
#include <cstdint>
#include <limits>
#include <stdexcept>

namespace tercet::asyncio {

/// The other side of a channel is closed: nobody will take what is sent.
class broken_resource_error : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

/// This end was closed here: it is not used any more.
class closed_resource_error : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

/// All senders are closed and everything was taken: nothing will come any more.
class end_of_channel : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

/// There is no room, or nothing to take, and the call does not wait.
class would_block : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

/// What a channel is apart from its items: its open ends, and the lines of those who wait at them. The rules stand in
/// memory_channel_gate.cpp.
class memory_channel_gate {
public:
    static constexpr std::size_t unbounded = std::numeric_limits<std::size_t>::max();

    /// Which end; no two of a channel have the same. Zero: one that is closed, or was moved from.
    using end_id = std::uint64_t;

    enum class ending : std::uint8_t { done, would_block, closed_here, no_receivers, no_senders };

    /// A send or a receive on its way: base of their awaiters.
    class party : public wait_list::waiter {
    protected:
        explicit party(end_id end) noexcept : end_(end) {}
        ~party() = default;

        bool has_ended_without_item() const noexcept { return ended_ != ending::done; }
        end_id end() const noexcept { return end_; }
        /// True: it is over.
        bool end_as(ending how) noexcept {
            ended_ = how;
            return true;
        }
        /// Throws what ended the wait without an item.
        void throw_unless_done() const {
            throw_if_not_woken();
            if (has_ended_without_item()) [[unlikely]]
                throw_ended(ended_);
        }
        bool has_come_to_the_end() const {
            throw_if_not_woken();
            return ended_ == ending::no_senders;
        }

    private:
        friend class memory_channel_gate;
        end_id end_;
        ending ended_ = ending::done;
    };

    explicit memory_channel_gate(std::size_t max_buffer_size) noexcept : max_buffer_size_(max_buffer_size) {}

    std::size_t max_buffer_size() const noexcept { return max_buffer_size_; }
    wait_list& senders() noexcept { return senders_; }
    wait_list& receivers() noexcept { return receivers_; }
    std::size_t open_senders() const noexcept { return open_senders_; }
    std::size_t open_receivers() const noexcept { return open_receivers_; }

    end_id open_sender() noexcept {
        ++open_senders_;
        return ++last_end_;
    }
    end_id open_receiver() noexcept {
        ++open_receivers_;
        return ++last_end_;
    }
    void close_sender(end_id end) noexcept;
    void close_receiver(end_id end) noexcept;

    /// Throws the error that `how` stands for.
    [[noreturn]] static void throw_ended(ending how);

private:
    static void end_all(wait_list& line, end_id end, ending how) noexcept;

    wait_list senders_;
    wait_list receivers_;
    std::size_t max_buffer_size_;
    std::size_t open_senders_ = 0;
    std::size_t open_receivers_ = 0;
    end_id last_end_ = 0;
};

}  // namespace tercet::asyncio
