// A call is queued, running, or on its way back. Queued and running are told apart under the mutex: a cancellation
// takes a queued call out of the list, and lets a running one be, since its thread writes into the awaiter. It comes
// back through the inbox; after that push the thread touches only what the loop keeps until it has joined its threads.
// The loop ends its tasks before it ends this, so nobody waits any more then.

#include "asyncio/file_threads.hpp"

#include <tercet/asyncio/event_loop.hpp>
#include <tercet/asyncio/inbox.hpp>

#include <cerrno>
#include <system_error>

#include "asyncio/blocking_call.hpp"

namespace tercet::asyncio {

void blocking_call::check() const {
    throw_if_cancelled();
    if (error_ != 0)
        throw std::system_error(error_, std::system_category(), "event_loop: start a thread for calls that block");
}

bool blocking_call::begin() noexcept {
    inbox_ = &loop().inbox();
    try {
        threads_ = &loop().file_threads();
    } catch (...) {
        error_ = ENOMEM;
        return true;
    }
    error_ = threads_->push(*this);
    return error_ != 0;
}

bool blocking_call::abandon() noexcept { return threads_->remove(*this); }

void blocking_call::arrive(ready_node& self, reason) noexcept { static_cast<blocking_call&>(self).complete(); }

file_threads::~file_threads() {
    {
        const std::scoped_lock guard(mutex_);
        is_closed_ = true;
    }
    has_work_.notify_all();
    for (std::thread& each : threads_) each.join();
}

int file_threads::push(blocking_call& call) noexcept {
    const std::scoped_lock guard(mutex_);
    if (idle_ <= queued_ && threads_.size() < max_threads) {
        try {
            threads_.emplace_back([this] { work(); });
        } catch (const std::system_error& error) {
            if (threads_.empty()) return error.code().value();
        } catch (...) {
            if (threads_.empty()) return ENOMEM;
        }
    }
    call.is_queued_ = true;
    call.previous_ = last_;
    call.next_ = nullptr;
    (last_ ? last_->next_ : first_) = &call;
    last_ = &call;
    ++queued_;
    has_work_.notify_one();
    return 0;
}

bool file_threads::remove(blocking_call& call) noexcept {
    const std::scoped_lock guard(mutex_);
    if (!call.is_queued_) return false;
    call.is_queued_ = false;
    (call.previous_ ? call.previous_->next_ : first_) = call.next_;
    (call.next_ ? call.next_->previous_ : last_) = call.previous_;
    --queued_;
    return true;
}

blocking_call* file_threads::take() noexcept {
    blocking_call* const call = first_;
    first_ = call->next_;
    (first_ ? first_->previous_ : last_) = nullptr;
    call->is_queued_ = false;
    --queued_;
    return call;
}

void file_threads::work() noexcept {
    std::unique_lock guard(mutex_);
    for (;;) {
        ++idle_;
        has_work_.wait(guard, [this] { return is_closed_ || first_; });
        --idle_;
        if (!first_) return;
        blocking_call& call = *take();
        guard.unlock();
        call.run();
        inbox& back = *call.inbox_;
        back.push(call);
        guard.lock();
    }
}

}  // namespace tercet::asyncio
