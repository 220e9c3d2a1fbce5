#pragma once

#include <functional>
#include <tuple>
#include <type_traits>
#include <utility>

namespace tercet::multiprocessing {

/// A function with its first arguments. See `capture`.
template <class Fn, class... Values>
struct captured {
    [[no_unique_address]] Fn fn;
    std::tuple<Values...> values;

    template <class... Args>
        requires std::is_invocable_v<const Fn&, const Values&..., Args...>
    decltype(auto) operator()(Args&&... args) const {
        return std::apply(
            [&](const Values&... each) -> decltype(auto) {
                return std::invoke(fn, each..., std::forward<Args>(args)...);
            },
            values);
    }
};

/// Binds copies of `values` in front of the arguments of `fn`, a function or a lambda without captures. What a lambda
/// with captures is to a thread pool, in a form that can be sent to another process:
///
///     pool.map(capture([](const config& c, int row) { return render(c, row); }, settings), rows);
template <class Fn, class... Values>
auto capture(Fn fn, Values&&... values) {
    return captured<Fn, std::decay_t<Values>...>{std::move(fn), {std::forward<Values>(values)...}};
}

}  // namespace tercet::multiprocessing
