// One word, `head_`: the newest node of a stack, or a marker at its bottom.
//
//   null      empty, the loop is awake: a push needs no system call
//   asleep_   empty, the loop sleeps or is about to: the push that replaces it writes to the eventfd, no other does
//   closed_   for ever
//
// The loop goes null -> asleep_ with a compare-exchange, and sleeps only if that succeeds: a push before it is seen, a
// push after it wakes. take() swaps null in (acquire, against the release of push: what happened before push is seen by
// the node when it runs), which also ends the sleep. The eventfd is edge-triggered and never read: each write is an
// edge. A late write after a sleep that ended otherwise costs one empty turn.

#include <tercet/asyncio/inbox.hpp>

#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

namespace tercet::asyncio {

namespace {

void never(ready_node&, ready_node::reason) noexcept {}

}  // namespace

inbox::inbox() : asleep_(&never), closed_(&never), wake_descriptor_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    if (wake_descriptor_ < 0) throw std::system_error(errno, std::system_category(), "event_loop: eventfd");
}

inbox::~inbox() { ::close(wake_descriptor_); }

bool inbox::push(ready_node& node) noexcept {
    ready_node* seen = head_.load(std::memory_order_relaxed);
    do {
        if (seen == &closed_) return false;
        node.next = seen == &asleep_ ? nullptr : seen;
    } while (!head_.compare_exchange_weak(seen, &node, std::memory_order_release, std::memory_order_relaxed));
    if (seen == &asleep_) {
        const std::uint64_t one = 1;
        while (::write(wake_descriptor_, &one, sizeof one) < 0 && errno == EINTR) {
        }
    }
    return true;
}

ready_node* inbox::take() noexcept {
    if (!head_.load(std::memory_order_relaxed)) return nullptr;
    ready_node* const newest = head_.exchange(nullptr, std::memory_order_acquire);
    return newest == &asleep_ ? nullptr : oldest_first(newest);
}

bool inbox::prepare_sleep() noexcept {
    ready_node* expected = nullptr;
    return head_.compare_exchange_strong(expected, &asleep_, std::memory_order_relaxed);
}

ready_node* inbox::close() noexcept {
    ready_node* const newest = head_.exchange(&closed_, std::memory_order_acquire);
    return newest == &asleep_ || newest == &closed_ ? nullptr : oldest_first(newest);
}

void inbox::release(std::uint32_t count) noexcept {
    if (references_.fetch_sub(count, std::memory_order_acq_rel) == count) delete this;
}

ready_node* inbox::oldest_first(ready_node* newest) noexcept {
    ready_node* list = nullptr;
    while (newest) {
        ready_node* const node = newest;
        newest = node->next;
        node->next = list;
        list = node;
    }
    return list;
}

}  // namespace tercet::asyncio
