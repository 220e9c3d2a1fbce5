#pragma once

#include <tercet/futures/errors.hpp>
#include <tercet/futures/job.hpp>

#include <chrono>
#include <cstddef>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

namespace tercet {

/// What one item of a map gave: a value (nothing, where calls return nothing) or an error.
template <class T>
struct item_outcome {
    using value_type = std::conditional_t<std::is_void_v<T>, std::monostate, T>;

    std::optional<value_type> value{};
    std::exception_ptr error{};
};

/// What the items of a chunk gave, in their order, and how long that took all together.
template <class Outcome>
struct chunk_outcome {
    std::vector<Outcome> items{};
    std::chrono::nanoseconds took{};
};

/// The arguments of the calls of a chunk.
template <class... Args>
using chunk_items = std::vector<std::tuple<Args...>>;

/// Calls `fn` with an item, which moves into the call, and notes what that gives. Where calls could change `fn`, each
/// gets a copy of its own.
template <class Outcome, class Fn, class... First, class... Args>
void call_item(Outcome& outcome, const Fn& fn, std::tuple<Args...>& item, const First&... first) noexcept {
    const auto invoke = [&](Args&... each) -> decltype(auto) {
        if constexpr (std::is_invocable_v<const Fn&, const First&..., Args...>)
            return std::invoke(fn, first..., std::move(each)...);
        else
            return std::invoke(Fn(fn), first..., std::move(each)...);
    };
    try {
        if constexpr (std::is_void_v<decltype(std::apply(invoke, item))>) {
            std::apply(invoke, item);
            outcome.value.emplace();
        } else {
            outcome.value.emplace(std::apply(invoke, item));
        }
    } catch (...) {
        outcome.value.reset();
        outcome.error = std::current_exception();
    }
}

/// Does the items of a chunk one after the other. `call(outcome, item)` does not throw.
template <class Outcome, class... Args, class Call>
chunk_outcome<Outcome> call_items(chunk_items<Args...>& items, Call call) {
    chunk_outcome<Outcome> all;
    all.items.resize(items.size());
    const auto begin = std::chrono::steady_clock::now();
    for (std::size_t i = 0; i < items.size(); ++i) call(all.items[i], items[i]);
    all.took = std::chrono::steady_clock::now() - begin;
    return all;
}

/// The call that an executor makes for a chunk of a map: `fn` for each item, one after the other. When it is asked to
/// stop, what it has not begun does not begin.
template <class Fn, class... Args>
struct chunk_call {
    using outcome_type = item_outcome<call_result_t<Fn, Args...>>;

    Fn fn;

    chunk_outcome<outcome_type> operator()(std::stop_token stop, std::shared_ptr<chunk_items<Args...>> items) const {
        return call_items<outcome_type>(*items, [&](outcome_type& outcome, std::tuple<Args...>& item) {
            if (stop.stop_requested())
                outcome.error = std::make_exception_ptr(cancelled_error());
            else if constexpr (takes_stop_token<Fn, Args...>)
                call_item(outcome, fn, item, stop);
            else
                call_item(outcome, fn, item);
        });
    }
};

}  // namespace tercet
