#pragma once

#include <tercet/multiprocessing/proxy.hpp>

#include <algorithm>
#include <cstddef>
#include <numeric>
#include <stdexcept>
#include <utility>
#include <vector>

namespace tercet::multiprocessing {

namespace detail {
[[noreturn]] void throw_no_item(const char* call, std::size_t index, std::size_t size);
[[noreturn]] void throw_no_such_item(const char* call);

/// Equal ones stay in their order. Not std::stable_sort: of libstdc++ 12's, clang says that it is deprecated.
template <class T>
void sort_stably(std::vector<T>& all) {
    std::vector<std::size_t> order(all.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::ranges::sort(order, [&all = std::as_const(all)](std::size_t a, std::size_t b) {
        if (all[a] < all[b]) return true;
        return !(all[b] < all[a]) && a < b;
    });
    std::vector<T> sorted;
    sorted.reserve(all.size());
    for (const std::size_t each : order) sorted.push_back(std::move(all[each]));
    all = std::move(sorted);
}
}  // namespace detail

/// Python's list in a manager. Each call is made in one go; what takes several, as `results[i] += 1` does, is
/// `apply([](std::vector<int>& all, std::size_t i) { all[i] += 1; }, i)`. Any thread.
template <class T>
class list_proxy : public proxy<std::vector<T>> {
    using items = std::vector<T>;

public:
    using proxy<items>::proxy;

    /// How many items there are.
    std::size_t size() const {
        return this->apply([](const items& all) { return all.size(); });
    }
    /// There are no items.
    bool empty() const { return size() == 0; }
    /// All items, of one moment.
    items values() const {
        return this->apply([](const items& all) { return all; });
    }

    /// A copy of the item. Throws `std::out_of_range`, as the others do that take an index.
    T get(std::size_t index) const {
        return this->apply([](items& all, std::size_t i) -> T { return all[checked("get", i, all.size())]; }, index);
    }
    /// As `get`: a copy, through which nothing is changed.
    T operator[](std::size_t index) const { return get(index); }
    /// Puts `item` in the place of another.
    void set(std::size_t index, const T& item) const {
        this->apply([](items& all, std::size_t i, T next) { all[checked("set", i, all.size())] = std::move(next); },
                    index, item);
    }

    /// Adds `item` at the end.
    void append(const T& item) const {
        this->apply([](items& all, T next) { all.push_back(std::move(next)); }, item);
    }
    /// Adds all of `more` at the end.
    void extend(const items& more) const {
        this->apply([](items& all, items next) { std::ranges::move(next, std::back_inserter(all)); }, more);
    }
    /// In front of the item at `index`, or at the end.
    void insert(std::size_t index, const T& item) const {
        this->apply(
            [](items& all, std::size_t i, T next) { all.insert(place(all, std::min(i, all.size())), std::move(next)); },
            index, item);
    }
    /// Takes the last item away.
    T pop() const {
        return this->apply([](items& all) -> T { return take(all, checked("pop", 0, all.size()) + all.size() - 1); });
    }
    /// Takes the item at `index` away.
    T pop(std::size_t index) const {
        return this->apply([](items& all, std::size_t i) -> T { return take(all, checked("pop", i, all.size())); },
                           index);
    }
    /// Takes the first item away that is equal to `item`. Throws `std::invalid_argument` when there is none.
    void remove(const T& item) const {
        this->apply([](items& all, T wanted) { all.erase(place(all, find("remove", all, wanted))); }, item);
    }
    /// Takes all items away.
    void clear() const {
        this->apply([](items& all) { all.clear(); });
    }
    /// Turns their order around.
    void reverse() const {
        this->apply([](items& all) { std::ranges::reverse(all); });
    }
    /// Sorts them by `<`, equal ones as they stand.
    void sort() const {
        this->apply([](items& all) { detail::sort_stably(all); });
    }

    /// Where the first is that is equal to `item`. Throws `std::invalid_argument` when there is none.
    std::size_t index(const T& item) const {
        return this->apply([](const items& all, T wanted) { return find("index", all, wanted); }, item);
    }
    /// How many are equal to `item`.
    std::size_t count(const T& item) const {
        return this->apply(
            [](const items& all, T wanted) { return static_cast<std::size_t>(std::ranges::count(all, wanted)); }, item);
    }
    /// Whether one is equal to `item`.
    bool contains(const T& item) const { return count(item) != 0; }

private:
    static std::size_t checked(const char* call, std::size_t index, std::size_t size) {
        if (index >= size) detail::throw_no_item(call, index, size);
        return index;
    }
    static auto place(items& all, std::size_t index) { return all.begin() + static_cast<std::ptrdiff_t>(index); }
    static T take(items& all, std::size_t index) {
        T taken = std::move(all[index]);
        all.erase(place(all, index));
        return taken;
    }
    static std::size_t find(const char* call, const items& all, const T& wanted) {
        const auto found = std::ranges::find(all, wanted);
        if (found == all.end()) detail::throw_no_such_item(call);
        return static_cast<std::size_t>(found - all.begin());
    }
};

}  // namespace tercet::multiprocessing
