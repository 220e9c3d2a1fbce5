#pragma once

#include <tercet/asyncio/basic_queue.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

namespace tercet::asyncio {

/// Holds the items of a `priority_queue`: a binary heap. Before anything moves, all comparisons of a step have been
/// made, so one that throws changes nothing.
template <class T, class Compare>
class heap_store {
public:
    static constexpr const char* name = "priority_queue";

    std::size_t size() const noexcept { return items_.size(); }

    template <class U>
    void push(U&& item) {
        if (items_.size() == items_.capacity()) items_.reserve(items_.empty() ? 8 : 2 * items_.size());
        std::size_t place = items_.size();
        const std::uint64_t number = next_number_;
        while (place != 0 && comes_before(item, number, items_[parent_of(place)])) place = parent_of(place);
        items_.push_back({T(std::forward<U>(item)), number});
        ++next_number_;
        if (place == items_.size() - 1) return;
        entry pushed = std::move(items_.back());
        std::size_t gap = items_.size() - 1;
        for (; gap != place; gap = parent_of(gap)) replace(gap, items_[parent_of(gap)]);
        replace(gap, pushed);
    }

    /// There is one.
    void pop(std::optional<T>& into) {
        std::array<std::size_t, 64> way;  // the children that rise when the last item goes down from the top
        std::size_t steps = 0;
        const std::size_t last = items_.size() - 1;
        for (std::size_t child = 1; child < last; child = 2 * way[steps - 1] + 1) {
            if (child + 1 < last && comes_before(items_[child + 1], items_[child])) ++child;
            if (!comes_before(items_[child], items_[last])) break;
            way[steps++] = child;
        }
        into.emplace(std::move(items_.front().item));
        std::size_t gap = 0;
        for (std::size_t step = 0; step < steps; gap = way[step++]) replace(gap, items_[way[step]]);
        if (gap != last) replace(gap, items_[last]);
        items_.pop_back();
    }

private:
    struct entry {
        T item;
        std::uint64_t number;  // of equal ones, the one that was put first has the smallest
    };

    static std::size_t parent_of(std::size_t place) noexcept { return (place - 1) / 2; }

    bool comes_before(const T& item, std::uint64_t number, const entry& other) {
        if (compare_(item, other.item)) return true;
        return number < other.number && !compare_(other.item, item);
    }
    bool comes_before(const entry& a, const entry& b) { return comes_before(a.item, a.number, b); }

    /// Not by assignment: it might throw, or not exist.
    void replace(std::size_t place, entry& by) noexcept {
        std::destroy_at(&items_[place]);
        std::construct_at(&items_[place], std::move(by));
    }

    std::vector<entry> items_;
    std::uint64_t next_number_ = 0;
    [[no_unique_address]] Compare compare_{};
};

/// The item before which no other comes is next: the smallest, with `std::less`. Of equal ones, the one that was put
/// first. Methods, bounds and errors as of `queue`; a comparison that throws leaves the queue as it was, and fails the
/// put or the get for which it was made.
template <class T, class Compare = std::less<T>>
class priority_queue : public basic_queue<T, heap_store<T, Compare>> {
public:
    using basic_queue<T, heap_store<T, Compare>>::basic_queue;
    /// A queue on which `put` never waits, and memory is the bound; it keeps what it had at most.
    static priority_queue unbounded() { return priority_queue(queue_gate::unbounded); }
};

}  // namespace tercet::asyncio
