// A signal handler may do next to nothing: it looks through a table of relays and pushes those of its signal into the
// inboxes of their loops, which takes a compare-exchange and at most one write, both allowed there. So no thread has to
// block signals, whatever thread the kernel chooses does, any number of loops may listen, and a loop needs no
// descriptor for it. A relay stands in its inbox once, which is how many signals become one call.
//
//   slot       null, or a relay; written under the mutex, read by handlers on any thread at any time
//   pending    the relay stands in its inbox: set by the handler that pushes it, cleared by the loop before it tells
//              the listener, so a signal during that call comes again
//   inside     how many handlers run. Who takes a relay out of the table waits until it has seen zero: from then
//              on no handler knows the relay. Both sides are sequentially consistent: either the handler sees the slot
//              empty or the other sees the handler inside.
//
// A relay that is taken out while it stands in the inbox has no listener any more, and goes when it arrives.
//
// After a fork the child has copies of all that, but the eventfd behind an inbox is one with the parent's. So there the
// table is emptied and every signal is back to what it was before this library came.

#include "asyncio/signal_dispatch.hpp"

#include <tercet/asyncio/event_loop.hpp>
#include <tercet/asyncio/inbox.hpp>

#include <fmt/format.h>
#include <pthread.h>
#include <sched.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <system_error>

#include "asyncio/running_loop.hpp"

namespace tercet::asyncio {

class signal_relay : public ready_node {
public:
    signal_relay(event_loop& loop, int signal, signal_listener& told)
        : ready_node(&arrive), number(signal), listener(&told), inbox_(loop.inbox()) {
        inbox_.add_references();
    }
    signal_relay(const signal_relay&) = delete;
    signal_relay& operator=(const signal_relay&) = delete;
    ~signal_relay() { inbox_.release(); }

    /// In a signal handler.
    void push() noexcept {
        if (is_pending.exchange(true, std::memory_order_acq_rel)) return;
        if (!inbox_.push(*this)) is_pending.store(false, std::memory_order_release);
    }

    const int number;
    std::atomic<bool> is_pending{false};
    signal_listener* listener;  // the loop's thread

private:
    static void arrive(ready_node& self, reason why) noexcept {
        auto& relay = static_cast<signal_relay&>(self);
        if (!relay.listener) {
            delete &relay;
            return;
        }
        relay.is_pending.exchange(false, std::memory_order_acq_rel);
        if (why == reason::run) relay.listener->on_signal(relay.number);
    }

    tercet::asyncio::inbox& inbox_;
};

namespace {

constexpr std::size_t most_relays = 1024;

struct signal_table {
    std::mutex mutex;
    std::array<std::atomic<signal_relay*>, most_relays> slots{};
    std::atomic<std::size_t> used{0};  // no relay stands behind this
    std::atomic<int> inside{0};
    std::array<std::size_t, NSIG> listeners{};
    std::array<struct sigaction, NSIG> before{};
};

constinit signal_table table;

static_assert(std::atomic<signal_relay*>::is_always_lock_free && std::atomic<std::size_t>::is_always_lock_free);

void handle_signal(int number) {
    const int error = errno;
    table.inside.fetch_add(1, std::memory_order_seq_cst);
    const std::size_t used = table.used.load(std::memory_order_seq_cst);
    for (std::size_t i = 0; i < used; ++i) {
        signal_relay* const relay = table.slots[i].load(std::memory_order_seq_cst);
        if (relay && relay->number == number) relay->push();
    }
    table.inside.fetch_sub(1, std::memory_order_seq_cst);
    errno = error;
}

void install(int number) {
    struct sigaction ours {};
    ours.sa_handler = &handle_signal;
    ours.sa_flags = SA_RESTART | SA_ONSTACK;
    ::sigfillset(&ours.sa_mask);
    if (::sigaction(number, &ours, &table.before[static_cast<std::size_t>(number)]) != 0)
        throw std::system_error(errno, std::system_category(), fmt::format("handle signal {}", number));
}

/// Unless somebody else has put a handler over ours meanwhile.
void restore(int number) noexcept {
    struct sigaction present {};
    if (::sigaction(number, nullptr, &present) == 0 && !(present.sa_flags & SA_SIGINFO) &&
        present.sa_handler == &handle_signal)
        ::sigaction(number, &table.before[static_cast<std::size_t>(number)], nullptr);
}

/// Until none runs that may have seen a relay which is out of the table.
void wait_for_handlers() noexcept {
    while (table.inside.load(std::memory_order_seq_cst) != 0) ::sched_yield();
}

void forget_all_after_fork() noexcept {
    for (auto& slot : table.slots) slot.store(nullptr, std::memory_order_relaxed);
    table.used.store(0, std::memory_order_relaxed);
    table.inside.store(0, std::memory_order_relaxed);
    for (int number = 1; number < NSIG; ++number) {
        if (std::exchange(table.listeners[static_cast<std::size_t>(number)], 0) > 0) restore(number);
    }
}

bool is_raised_by_faults(int number) noexcept {
    return number == SIGSEGV || number == SIGBUS || number == SIGFPE || number == SIGILL;
}

constinit int fork_handlers_error = 0;

[[gnu::constructor(101)]] void register_fork_handlers() {
    fork_handlers_error = ::pthread_atfork([] { table.mutex.lock(); }, [] { table.mutex.unlock(); },
                                           [] {
                                               forget_running_loop();
                                               forget_all_after_fork();
                                               table.mutex.unlock();
                                           });
}

}  // namespace

void prepare_for_forks() {
    if (fork_handlers_error != 0)
        throw std::system_error(fork_handlers_error, std::system_category(), "event_loop: pthread_atfork");
}

signal_relay* subscribe_to_signal(event_loop& loop, int number, signal_listener& listener) {
    loop.require_open();
    if (number <= 0 || number >= NSIG) throw std::invalid_argument(fmt::format("signal {}: there is none", number));
    if (is_raised_by_faults(number))
        throw std::invalid_argument(fmt::format("signal {}: a fault would raise it again and again", number));
    auto relay = std::make_unique<signal_relay>(loop, number, listener);
    const std::scoped_lock guard(table.mutex);
    std::size_t free = 0;
    while (free < most_relays && table.slots[free].load(std::memory_order_relaxed)) ++free;
    if (free == most_relays)
        throw std::system_error(EAGAIN, std::system_category(),
                                fmt::format("handle signal {}: {} listeners already", number, most_relays));
    // The relay first: the handler finds it from its first call on.
    table.slots[free].store(relay.get(), std::memory_order_seq_cst);
    if (free >= table.used.load(std::memory_order_relaxed)) table.used.store(free + 1, std::memory_order_seq_cst);
    std::size_t& listeners = table.listeners[static_cast<std::size_t>(number)];
    if (listeners == 0) {
        try {
            install(number);
        } catch (...) {
            table.slots[free].store(nullptr, std::memory_order_seq_cst);
            wait_for_handlers();
            throw;
        }
    }
    ++listeners;
    return relay.release();
}

void unsubscribe(signal_relay* relay) noexcept {
    {
        const std::scoped_lock guard(table.mutex);
        for (auto& slot : table.slots) {
            if (slot.load(std::memory_order_relaxed) != relay) continue;  // none of them after a fork
            slot.store(nullptr, std::memory_order_seq_cst);
            if (--table.listeners[static_cast<std::size_t>(relay->number)] == 0) restore(relay->number);
            break;
        }
    }
    wait_for_handlers();
    relay->listener = nullptr;
    if (!relay->is_pending.load(std::memory_order_acquire)) delete relay;
}

}  // namespace tercet::asyncio
