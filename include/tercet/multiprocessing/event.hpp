#pragma once

#include <tercet/futures/time_limit.hpp>
#include <tercet/multiprocessing/shared_page.hpp>

#include <cstddef>

namespace tercet::multiprocessing {

/// A flag that processes and their threads wait for. A handle: copies are the same event, also one that was sent to a
/// worker. What a thread did before `set` is seen by those whom it wakes, and by those who find the flag set. It has no
/// owner, and whoever dies at whatever moment leaves it usable. Any thread.
class event {
public:
    /// Throws `std::system_error` when there is no descriptor or memory for it.
    event();

    /// Waits up to `limit` until the flag is set. Returns whether it was: a `clear` right after the `set` does not
    /// hold back those who waited for it.
    bool wait(time_limit limit = {}) const;

    /// Sets the flag and wakes all who wait.
    void set() const noexcept;
    void clear() const noexcept;
    bool is_set() const noexcept;

    template <class Archive>
    void serialize(Archive& archive) {
        page_.serialize(archive, page_kind::event, size_of_page);
    }

private:
    struct contents;
    static constexpr std::size_t size_of_page = 64;

    shared_page page_;
};

}  // namespace tercet::multiprocessing
