#pragma once

#include <tercet/asyncio/suspension.hpp>

namespace tercet::asyncio {

/// Tasks that wait for a turn, first come, first served: what is under every primitive. Whoever wakes a waiter hands
/// over what it waits for in the same step; a waiter that is cancelled has left the list before, so it takes nothing
/// along. Waking only makes ready. When the list goes, those who still wait in it are told.
class wait_list {
public:
    /// The base of the awaiters of a primitive. `begin` takes what is there, or calls `wait_in`.
    class waiter : public suspension {
    protected:
        waiter() noexcept = default;
        ~waiter() = default;

        /// Stands in line; to be called in `begin`, which then returns false.
        void wait_in(wait_list& list) noexcept;
        bool abandon() noexcept override;

        /// To be called first when the coroutine resumes. Throws `cancelled_error`, and `invalid_state_error` when the
        /// list went meanwhile, and with it what the awaiter refers to.
        void throw_if_not_woken() const {
            throw_if_cancelled();
            if (is_left_behind_) [[unlikely]]
                throw_left_behind();
        }

    private:
        friend class wait_list;
        [[noreturn]] void throw_left_behind() const;

        wait_list* list_ = nullptr;
        waiter* previous_ = nullptr;
        waiter* next_ = nullptr;
        bool is_left_behind_ = false;
    };

    wait_list() noexcept = default;
    wait_list(const wait_list&) = delete;
    wait_list& operator=(const wait_list&) = delete;
    ~wait_list() {
        if (first_) [[unlikely]]
            leave_all_behind();
    }

    bool empty() const noexcept { return first_ == nullptr; }
    /// The first in line; null: there is none.
    waiter* front() const noexcept { return first_; }
    /// Makes the first in line ready and returns it, to be given what it waited for; null: there is none.
    waiter* pop() noexcept;
    /// The same for who waits for nothing but the turn. False: there is none.
    bool wake_one() noexcept { return pop() != nullptr; }
    /// Makes all ready that wait now.
    void wake_all() noexcept;
    /// Sends the first in line, which must be there, to the end of another line.
    void move_first_to(wait_list& other) noexcept;

private:
    void unlink(waiter& leaving) noexcept;
    void leave_all_behind() noexcept;

    waiter* first_ = nullptr;
    waiter* last_ = nullptr;
};

}  // namespace tercet::asyncio
