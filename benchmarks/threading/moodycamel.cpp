// moodycamel::BlockingConcurrentQueue. It has no bound: the capacity is what it has room for at first.

#include <concurrentqueue/blockingconcurrentqueue.h>

#include "work.hpp"

namespace tercet::benchmarks {

namespace {

struct queue {
    moodycamel::BlockingConcurrentQueue<long> items;

    explicit queue(std::size_t capacity) : items(capacity) {}
    void put(long item) { items.enqueue(item); }
    long get() {
        long item = 0;
        items.wait_dequeue(item);
        return item;
    }
};

const contender here("moodycamel", {{"queue_stream", time_stream<queue>}, {"queue_pingpong", time_pingpong<queue>}});

}  // namespace

}  // namespace tercet::benchmarks
