#pragma once

#include <tercet/threading/ordered_queue.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

namespace tercet::threading {

/// Holds the items of a `priority_queue`: a binary heap of pointers. Before anything moves, all comparisons of a step
/// have been made, so one that throws changes nothing.
template <class T, class Compare>
class priority_store {
public:
    static constexpr const char* name = "priority_queue";

    template <class U>
    void push(U&& item) {
        items_.push_back(std::make_unique<entry>(entry{T(std::forward<U>(item)), last_++}));
        std::size_t place = items_.size() - 1;
        try {
            while (place != 0 && comes_before(*items_.back(), *items_[(place - 1) / 2])) place = (place - 1) / 2;
        } catch (...) {
            items_.pop_back();
            throw;
        }
        for (std::size_t at = items_.size() - 1; at != place; at = (at - 1) / 2) items_[at].swap(items_[(at - 1) / 2]);
    }

    /// Finds the way that the gap at the top goes down until the last item fits into it.
    void prepare_pop() {
        steps_ = 0;
        const std::size_t last = items_.size() - 1;
        for (std::size_t child = 1; child < last; child = 2 * way_[steps_ - 1] + 1) {
            if (child + 1 < last && comes_before(*items_[child + 1], *items_[child])) ++child;
            if (!comes_before(*items_[child], *items_[last])) break;
            way_[steps_++] = child;
        }
    }
    T& next() noexcept { return items_.front()->item; }
    void pop() noexcept {
        std::size_t gap = 0;
        for (std::size_t step = 0; step < steps_; gap = way_[step++]) items_[gap].swap(items_[way_[step]]);
        if (gap != items_.size() - 1) items_[gap].swap(items_.back());
        items_.pop_back();
    }
    /// Any item: all are to go.
    void discard() noexcept { items_.pop_back(); }

private:
    struct entry {
        T item;
        std::uint64_t number;
    };

    bool comes_before(const entry& a, const entry& b) {
        if (compare_(a.item, b.item)) return true;
        return a.number < b.number && !compare_(b.item, a.item);
    }

    std::vector<std::unique_ptr<entry>> items_;
    std::uint64_t last_ = 0;
    std::array<std::size_t, 64> way_{};
    std::size_t steps_ = 0;
    [[no_unique_address]] Compare compare_{};
};

/// The item before which no other comes is next: the smallest, with `std::less`. Of equal ones, the one that was put
/// first. Methods, bounds and errors as of `queue`; a comparison that throws leaves the queue as it was.
template <class T, class Compare = std::less<T>>
class priority_queue : public ordered_queue<T, priority_store<T, Compare>> {
public:
    using ordered_queue<T, priority_store<T, Compare>>::ordered_queue;
    /// A queue on which `put` never waits, and memory is the bound.
    static priority_queue unbounded() { return priority_queue(queue_monitor::unbounded); }
};

}  // namespace tercet::threading
