#pragma once

#include <tercet/asyncio/basic_queue.hpp>
#include <tercet/asyncio/ring_store.hpp>

namespace tercet::asyncio {

/// First in, first out, between tasks of one loop. Has a bound: who puts faster than others take, waits. Items move in
/// and out; what was taken is gone from the queue. Putting and getting allocates nothing once the queue has been as
/// full as it gets.
///
///     queue<page> pages(100);
///     co_await pages.put(std::move(page));                          // a task that produces; in the end shutdown()
///     while (auto page = co_await pages.next()) print(*page);       // a task that consumes
template <class T>
class queue : public basic_queue<T, ring_store<T>> {
public:
    using basic_queue<T, ring_store<T>>::basic_queue;
    /// A queue on which `put` never waits, and memory is the bound; it keeps what it had at most.
    static queue unbounded() { return queue(queue_gate::unbounded); }
};

}  // namespace tercet::asyncio
