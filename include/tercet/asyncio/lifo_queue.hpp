#pragma once

#include <tercet/asyncio/basic_queue.hpp>

#include <cstddef>
#include <optional>
#include <utility>
#include <vector>

namespace tercet::asyncio {

/// Holds the items of a `lifo_queue`.
template <class T>
class stack_store {
public:
    static constexpr const char* name = "lifo_queue";

    std::size_t size() const noexcept { return items_.size(); }
    template <class U>
    void push(U&& item) {
        items_.push_back(std::forward<U>(item));
    }
    /// There is one.
    void pop(std::optional<T>& into) noexcept {
        into.emplace(std::move(items_.back()));
        items_.pop_back();
    }

private:
    std::vector<T> items_;
};

/// Last in, first out. Methods, bounds and errors as of `queue`.
template <class T>
class lifo_queue : public basic_queue<T, stack_store<T>> {
public:
    using basic_queue<T, stack_store<T>>::basic_queue;
    /// A queue on which `put` never waits, and memory is the bound; it keeps what it had at most.
    static lifo_queue unbounded() { return lifo_queue(queue_gate::unbounded); }
};

}  // namespace tercet::asyncio
