#pragma once

#include <tercet/threading/ordered_queue.hpp>

#include <memory>
#include <utility>
#include <vector>

namespace tercet::threading {

/// Holds the items of a `lifo_queue`. Each has an allocation of its own, so that one that throws when it is moved
/// disturbs no other.
template <class T>
class lifo_store {
public:
    static constexpr const char* name = "lifo_queue";

    template <class U>
    void push(U&& item) {
        items_.push_back(std::make_unique<T>(std::forward<U>(item)));
    }
    void prepare_pop() noexcept {}
    T& next() noexcept { return *items_.back(); }
    void pop() noexcept { items_.pop_back(); }
    void discard() noexcept { items_.pop_back(); }

private:
    std::vector<std::unique_ptr<T>> items_;
};

/// Last in, first out: a stack on which threads wait. Methods, bounds and errors as of `queue`.
template <class T>
class lifo_queue : public ordered_queue<T, lifo_store<T>> {
public:
    using ordered_queue<T, lifo_store<T>>::ordered_queue;
    /// A queue on which `put` never waits, and memory is the bound.
    static lifo_queue unbounded() { return lifo_queue(queue_monitor::unbounded); }
};

}  // namespace tercet::threading
