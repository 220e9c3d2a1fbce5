// The queue and its watchers live in one block with a reference for the queue and one for each watcher that is
// attached. A watcher that fires pushes itself onto a stack (release), wakes the consumer if the condition holds, and
// drops its reference; the queue, when it goes, detaches the watchers that have not fired and drops theirs. So a
// watcher on its way through another thread keeps the block alive, and nobody has to wait for it.

#include <tercet/futures/blocking_ban.hpp>
#include <tercet/futures/completion_queue.hpp>
#include <tercet/futures/helping_thread.hpp>
#include <tercet/futures/parker.hpp>

#include <atomic>
#include <memory>
#include <unordered_set>
#include <vector>

namespace tercet {

namespace {

future_state_base* referenced(future_base& future) {
    future_state_base& state = future.state();
    state.add_reference();
    return &state;
}

}  // namespace

struct completion_queue::shared {
    struct watcher : continuation {
        watcher(shared& queue, future_base& future, std::size_t position) noexcept
            : continuation(&arrive, kind::waiter), owner(queue), watched(referenced(future)), index(position) {}
        static void arrive(continuation& self) noexcept {
            auto& here = static_cast<watcher&>(self);
            shared& owner = here.owner;
            const bool is_enough = owner.count(*here.watched);
            here.next = owner.arrived.load(std::memory_order_relaxed);
            while (!owner.arrived.compare_exchange_weak(here.next, &here, std::memory_order_release,
                                                        std::memory_order_relaxed)) {
            }
            if (is_enough) owner.consumer.unpark();
            owner.release();
        }

        shared& owner;
        state_pointer<future_state_base> watched;  // until it is handed out
        std::size_t index;
        bool is_attached = false;
    };

    explicit shared(return_when condition) noexcept : wake(condition) {}

    /// Notes that `state` is done, and returns whether the condition holds now.
    bool count(const future_state_base& state) noexcept {
        const bool is_last = unfinished.fetch_sub(1, std::memory_order_acq_rel) == 1;
        const bool is_enough = is_last || wake == return_when::first_completed ||
                               (wake == return_when::first_exception && state.has_failed());
        if (is_enough) holds.store(true, std::memory_order_release);
        return is_enough;
    }

    /// Moves what has arrived to the end of `ready`, oldest first.
    void collect() {
        continuation* newest = arrived.exchange(nullptr, std::memory_order_acquire);
        const auto end = static_cast<std::ptrdiff_t>(ready.size());
        for (; newest; newest = newest->next) ready.push_back(static_cast<watcher*>(newest));
        std::reverse(ready.begin() + end, ready.end());
    }

    /// Waits until `is_over()` or `deadline`; returns the former.
    template <class IsOver>
    bool wait_until(IsOver is_over, time_limit::clock::time_point deadline) {
        if (is_over()) return true;
        if (deadline > time_limit::clock::now()) blocking_ban::check("wait, as_completed: waiting for futures");
        if (helper && helper != helping_thread::current())
            throw invalid_state_error("wait, as_completed: begun on one thread and continued on another");
        if (helper) helper->check_wait(nullptr);
        if (helper)
            return helper->wait([](void* context) { return (*static_cast<IsOver*>(context))(); }, &is_over, deadline);
        while (!is_over())
            if (!consumer.park(deadline)) return is_over();
        return true;
    }

    void release() noexcept {
        if (references.fetch_sub(1, std::memory_order_acq_rel) == 1) delete this;
    }

    std::atomic<std::size_t> references{1};
    std::atomic<std::size_t> unfinished{0};
    std::atomic<bool> holds{false};
    std::atomic<continuation*> arrived{nullptr};
    helping_thread* helper = helping_thread::current();
    parker own;
    parker& consumer = helper ? helper->wake_up() : own;
    return_when wake;
    std::vector<watcher> watchers;  // never grows after construction: they are linked into the futures
    std::vector<watcher*> ready;    // the consumer's own; what lies before `popped` was handed out
    std::size_t popped = 0;
};

completion_queue::completion_queue(std::span<future_base* const> futures, return_when wake) {
    auto block = std::make_unique<shared>(wake);
    block->watchers.reserve(futures.size());
    block->ready.reserve(futures.size());
    std::unordered_set<const future_state_base*> known;
    for (std::size_t i = 0; i < futures.size(); ++i)
        if (known.insert(&futures[i]->state()).second) block->watchers.emplace_back(*block, *futures[i], i);

    shared_ = block.release();
    size_ = unpopped_ = shared_->watchers.size();
    shared_->unfinished.store(size_, std::memory_order_relaxed);
    if (size_ == 0) shared_->holds.store(true, std::memory_order_relaxed);
    for (auto& each : shared_->watchers) {
        shared_->references.fetch_add(1, std::memory_order_relaxed);
        each.is_attached = each.watched->attach(each);
        if (each.is_attached) continue;
        shared_->count(*each.watched);
        shared_->ready.push_back(&each);
        shared_->release();
    }
}

completion_queue::~completion_queue() {
    for (auto& each : shared_->watchers)
        if (each.watched && each.is_attached && each.watched->detach(each)) shared_->release();
    shared_->release();
}

bool completion_queue::wait(time_limit::clock::time_point deadline) {
    return shared_->wait_until([this] { return shared_->holds.load(std::memory_order_acquire); }, deadline);
}

std::optional<std::size_t> completion_queue::pop(time_limit::clock::time_point deadline) {
    if (unpopped_ == 0) return std::nullopt;
    if (shared_->popped == shared_->ready.size()) {
        if (!shared_->wait_until([this] { return shared_->arrived.load(std::memory_order_acquire) != nullptr; },
                                 deadline))
            return std::nullopt;
        shared_->collect();
    }
    --unpopped_;
    shared::watcher& done = *shared_->ready[shared_->popped++];
    done.watched = {};  // the future may be moved away and go before the queue does
    return done.index;
}

}  // namespace tercet
