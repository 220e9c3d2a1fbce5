#pragma once

#include <tercet/multiprocessing/queue.hpp>

namespace tercet::multiprocessing {

/// A `queue` without a bound and without time limits: for processes that know how much they send one another.
template <class T>
class simple_queue : private queue<T> {
public:
    using typename queue<T>::value_type;

    /// Memory is the bound. Throws `std::system_error`.
    simple_queue() : queue<T>(message_queue::unbounded, "simple_queue") {}

    /// Puts a copy of `item`, without waiting. Throws as `queue::put`.
    void put(const T& item) { queue<T>::put(item); }
    /// Takes the oldest item, waiting for one. Throws as `queue::get`.
    T get() { return queue<T>::get(); }

    // As those of `queue`.
    using queue<T>::empty;
    using queue<T>::close;
    using queue<T>::serialize;
};

}  // namespace tercet::multiprocessing
