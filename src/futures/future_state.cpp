// The word: four flags and, above them, a stack of continuations.
//
//   pending            flags 0            cancel -> done|cancelled        start -> running
//   running            running            finish -> running|done          finish_cancelled -> running|done|cancelled
//   done               done               final
//
// Who may do what:
//   - start() decides between work and cancel(): both change the flags of a pending word, one wins.
//   - After a successful start() the producer alone writes error_ and the value, then publishes with one exchange
//   (release);
//     whoever sees the done flag (acquire) may read them. They never change again.
//   - attach() pushes onto the stack with one compare-exchange, or sees the done flag. So a continuation is either in
//   the
//     stack that publish() takes, and fires there, or attach() says that it will not fire. None is lost, none fires
//     twice.
//   - detach() first takes the whole stack away (now publish() finds an empty one), removes its node, and puts the rest
//   back on
//     top of what was pushed meanwhile. If the state was finished in between, detach() fires the rest itself: the
//     producer found nothing to fire. Two detaches at once would not find each other's nodes, so the second waits while
//     the detaching flag is set, which is for some dozen instructions; a producer does not wait for it.
//   - A word that is done has no stack any more; a flag above the others says whether there is an error, for those who
//     must not look at error_, because the last consumer may be taking it away.
//   - A continuation may be gone when its function returns, so the link is read before.

#include <tercet/futures/cpu_relax.hpp>
#include <tercet/futures/errors.hpp>
#include <tercet/futures/future_state.hpp>

#include <sched.h>

namespace tercet {

namespace {

continuation* stack_of(std::uintptr_t word, std::uintptr_t flag_bits) noexcept {
    return reinterpret_cast<continuation*>(word & ~flag_bits);  // NOLINT(performance-no-int-to-ptr): flags live below
}

std::uintptr_t bits_of(const continuation* node) noexcept { return reinterpret_cast<std::uintptr_t>(node); }

}  // namespace

bool future_state_base::attach(continuation& waiter) noexcept {
    static_assert(alignof(continuation) > flag_bits);
    std::uintptr_t word = word_.load(std::memory_order_acquire);
    do {
        if (word & done_bit) return false;
        waiter.next = stack_of(word, flag_bits);
    } while (!word_.compare_exchange_weak(word, bits_of(&waiter) | (word & flag_bits), std::memory_order_release,
                                          std::memory_order_acquire));
    return true;
}

bool future_state_base::detach(continuation& waiter) noexcept {
    std::uintptr_t word = word_.load(std::memory_order_acquire);
    for (int looks = 0;; word = word_.load(std::memory_order_acquire)) {
        if (word & done_bit) return false;
        if ((word & detaching_bit) == 0 &&
            word_.compare_exchange_weak(word, (word & flag_bits) | detaching_bit, std::memory_order_acquire,
                                        std::memory_order_relaxed))
            break;
        if (++looks < 100)
            cpu_relax();
        else
            ::sched_yield();  // the other one has lost its CPU
    }

    continuation* rest = stack_of(word, flag_bits);
    continuation** link = &rest;
    while (*link && *link != &waiter) link = &(*link)->next;
    const bool was_attached = *link != nullptr;
    if (was_attached) *link = waiter.next;

    continuation* last = rest;
    while (last && last->next) last = last->next;
    word = word_.load(std::memory_order_acquire);
    std::uintptr_t restored = 0;
    do {
        if (word & done_bit) {
            if (last) last->next = nullptr;
            fire_all(bits_of(rest));
            return was_attached;
        }
        if (last) last->next = stack_of(word, flag_bits);
        restored = (last ? bits_of(rest) | (word & flag_bits) : word) & ~detaching_bit;
    } while (!word_.compare_exchange_weak(word, restored, std::memory_order_release, std::memory_order_acquire));
    return was_attached;
}

bool future_state_base::cancel() noexcept {
    std::uintptr_t word = word_.load(std::memory_order_acquire);
    do {
        if (word & done_bit) return false;
        if (word & running_bit) {
            request_stop();
            return false;
        }
    } while (!word_.compare_exchange_weak(word, done_bit | cancelled_bit, std::memory_order_acq_rel,
                                          std::memory_order_acquire));
    fire_all(word);
    return true;
}

bool future_state_base::start() noexcept {
    std::uintptr_t word = word_.load(std::memory_order_relaxed);
    do {
        if (word & done_bit) return false;
    } while (
        !word_.compare_exchange_weak(word, word | running_bit, std::memory_order_acq_rel, std::memory_order_relaxed));
    return true;
}

void future_state_base::finish(finish_observer* observer) noexcept { publish(running_bit | done_bit, observer); }

void future_state_base::finish(std::exception_ptr error, finish_observer* observer) noexcept {
    error_ = std::move(error);
    publish(running_bit | done_bit | failed_bit, observer);
}

void future_state_base::finish_cancelled() noexcept { publish(running_bit | done_bit | cancelled_bit, nullptr); }

void future_state_base::throw_if_failed() {
    mark_read();
    if (is_cancelled()) throw cancelled_error();
    if (error_) std::rethrow_exception(error_);
}

void future_state_base::release() noexcept {
    // The last owner need not count: nobody else can become one.
    if (references_.load(std::memory_order_acquire) != 1 && references_.fetch_sub(1, std::memory_order_acq_rel) != 1)
        return;
    drop_error();
    delete this;
}

void future_state_base::drop_error() noexcept {
    if (!error_) return;
    const std::exception_ptr dropped = std::exchange(error_, nullptr);
    if (!is_read_.load(std::memory_order_relaxed)) report_unread_error(dropped, origin());
}

void future_state_base::publish(std::uintptr_t flags, finish_observer* observer) noexcept {
    if (observer) observer->work_is_over();
    fire_all(word_.exchange(flags, std::memory_order_acq_rel), observer);
}

void future_state_base::fire_all(std::uintptr_t word, finish_observer* observer) noexcept {
    continuation* waiters = nullptr;  // both oldest first: the stack is reversed on the way
    continuation* callbacks = nullptr;
    for (continuation* node = stack_of(word, flag_bits); node;) {
        continuation* const next = node->next;
        continuation*& list = node->type == continuation::kind::waiter ? waiters : callbacks;
        node->next = list;
        list = node;
        node = next;
    }
    // The observer is told first: once the waiters have fired, it may be gone.
    if (callbacks && observer && observer->takes_over(callbacks)) callbacks = nullptr;
    for (continuation* list : {waiters, callbacks}) run_callbacks(list);
}

void future_state_base::run_callbacks(continuation* callbacks) noexcept {
    while (callbacks) {
        continuation* const node = callbacks;
        callbacks = callbacks->next;
        node->fire(*node);
    }
}

}  // namespace tercet
