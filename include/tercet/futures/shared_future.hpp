#pragma once

#include <tercet/futures/future.hpp>

#include <memory>
#include <type_traits>
#include <utility>

namespace tercet {

/// A future of which there are many copies: each thread that waits for the result has one, and all get it, or the same
/// error, or `cancelled_error`. Everything that takes a future takes this one too: `wait`, `as_completed`, `co_await`,
/// callbacks. To cancel one is to cancel the work for all. An error counts as read when one of them has read it.
///
///     shared_future<config> loaded = pool.submit(load).share();
///     for (auto& each : servers) each.start(loaded);
template <class T>
class shared_future : public future_base {
public:
    using value_type = T;

    shared_future() noexcept = default;
    /// Takes over from `only`, which is empty after that. Throws `invalid_state_error` when it is empty before.
    explicit shared_future(future<T>&& only) : future_base(pointer_of(only)), only_(hold(std::move(only))) {}

    /// Waits up to `limit` for the result, which belongs to all: it does not change, and is there as long as one copy
    /// of this future is. Throws what the work threw, `cancelled_error`, `timeout_error`.
    /// Cancel safety: a call that timed out leaves the future as it was.
    decltype(auto) result(time_limit limit = {}) const& {
        wait_for_value(limit);
        if constexpr (!std::is_void_v<T>) return static_cast<const T&>(typed_state().value());
    }
    /// Of a copy that goes: a copy of the result.
    T result(time_limit limit = {}) && {
        wait_for_value(limit);
        if constexpr (!std::is_void_v<T>) return static_cast<const T&>(typed_state().value());
    }

    future_state<T>& typed_state() const { return static_cast<future_state<T>&>(state()); }

private:
    static state_pointer<future_state_base> pointer_of(const future<T>& only) {
        only.state().add_reference();
        return state_pointer<future_state_base>(&only.state());
    }
    static std::shared_ptr<const future<T>> hold(future<T>&& only) {
        return std::make_shared<const future<T>>(std::move(only));
    }

    std::shared_ptr<const future<T>> only_;  // goes with the last copy, and takes the error along
};

template <class T>
shared_future<T> future<T>::share() && {
    return shared_future<T>(std::move(*this));
}

template <class T>
future_awaiter<const shared_future<T>&> operator co_await(const shared_future<T>& waited) noexcept {
    return future_awaiter<const shared_future<T>&>(waited);
}
template <class T>
future_awaiter<shared_future<T>> operator co_await(shared_future<T>&& waited) noexcept {
    return future_awaiter<shared_future<T>>(std::move(waited));
}

}  // namespace tercet
