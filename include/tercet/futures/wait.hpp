#pragma once

#include <tercet/futures/completion_queue.hpp>
#include <tercet/futures/future.hpp>
#include <tercet/futures/time_limit.hpp>

#include <ranges>
#include <type_traits>
#include <unordered_set>
#include <vector>

namespace tercet {

/// The futures that were waited for, each once, in the order in which they were given.
template <class Future>
struct wait_result {
    std::vector<Future*> done;
    std::vector<Future*> not_done;
};

/// See `wait`.
struct wait_options {
    tercet::return_when return_when = tercet::return_when::all_completed;  ///< what ends the wait
    time_limit timeout = {};                                               ///< for all of them; none: no limit
};

/// A range of futures, or of pointers to futures. Elements of type `future_base*` may lead to futures of different
/// types.
template <class Range>
concept range_of_futures = std::ranges::forward_range<Range> &&
    std::is_base_of_v<future_base, std::remove_cvref_t<std::remove_pointer_t<std::ranges::range_value_t<Range>>>>;

/// The future that an element of such a range stands for.
template <class Element>
auto* future_of(Element& element) noexcept {
    if constexpr (std::is_pointer_v<Element>)
        return element;
    else
        return &element;
}

/// Waits for several futures, of one executor or of many. Throws nothing when the time is up: look at `not_done`.
/// Cancel safety: leaves the futures as they were.
template <range_of_futures Range>
auto wait(Range&& futures, wait_options options = {}) {
    using future_type = std::remove_pointer_t<decltype(future_of(*std::ranges::begin(futures)))>;
    const auto deadline = options.timeout.deadline();
    std::vector<future_type*> all;
    std::unordered_set<const future_state_base*> known;
    for (auto&& element : futures) {
        future_type* const each = future_of(element);
        if (known.insert(&each->state()).second) all.push_back(each);
    }
    completion_queue(std::vector<future_base*>(all.begin(), all.end()), options.return_when).wait(deadline);
    wait_result<future_type> result;
    for (future_type* each : all) (each->done() ? result.done : result.not_done).push_back(each);
    return result;
}

}  // namespace tercet
