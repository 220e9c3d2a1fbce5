#pragma once

#include <tercet/multiprocessing/proxy.hpp>

#include <concepts>
#include <functional>
#include <utility>

namespace tercet::multiprocessing {

namespace served {

template <class T>
struct value {
    T held;
};

}  // namespace served

namespace detail {

/// `fn`, called with what a value holds.
template <class Fn>
struct call_with_held {
    [[no_unique_address]] Fn fn;

    template <class T, class... Args>
        requires std::invocable<const Fn&, T&, Args...>
    auto operator()(served::value<T>& whole, Args&&... args) const {
        return std::invoke(fn, whole.held, std::forward<Args>(args)...);
    }
};

template <class Fn>
inline constexpr bool is_function_holder<call_with_held<Fn>> = true;

}  // namespace detail

/// Python's `Value` in a manager, of any type that can be sent. Any thread.
template <class T>
class value_proxy : public proxy<served::value<T>> {
public:
    using proxy<served::value<T>>::proxy;

    /// A copy of the value.
    T get() const {
        return this->apply([](const served::value<T>& whole) { return whole.held; });
    }
    /// Puts `next` in its place.
    void set(const T& next) const {
        this->apply([](served::value<T>& whole, T given) { whole.held = std::move(given); }, next);
    }
    /// Calls `fn(value, args...)` in the manager, in one go, and returns what that returns:
    ///
    ///     counter.update([](int& n, int more) { n += more; }, 5);
    template <class Fn, class... Args>
    auto update(Fn fn, const Args&... args) const {
        return this->apply(detail::call_with_held<Fn>{std::move(fn)}, args...);
    }
};

}  // namespace tercet::multiprocessing
