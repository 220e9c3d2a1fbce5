// Each local has a slot, which is used again when the local is gone, and a number, which is not. Each thread has a
// table: under the slot, the number of the local and the thread's value. To find a value is to look there, without a
// lock; a number that differs belongs to a local that is gone.
//
// The values themselves belong to the core of the local, by thread: the local destroys all of them with itself. A
// thread that ends takes its own out of each core that is still there. Whoever takes a value from the core, under its
// mutex, destroys it, without the mutex.

#include <tercet/threading/local.hpp>
#include <tercet/threading/quick_lock.hpp>
#include <tercet/threading/thread_ident.hpp>

#include <pthread.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>
#include <unordered_map>
#include <vector>

namespace tercet::threading {

struct local_values::core {
    std::shared_ptr<void> take(std::uint64_t thread) noexcept {
        const std::lock_guard guard(mutex);
        const auto found = by_thread.find(thread);
        if (found == by_thread.end()) return nullptr;
        std::shared_ptr<void> value = std::move(found->second);
        by_thread.erase(found);
        return value;
    }

    quick_lock mutex;
    std::unordered_map<std::uint64_t, std::shared_ptr<void>> by_thread;
};

namespace {

struct slots_type {
    quick_lock mutex;
    std::vector<std::size_t> free;
    std::size_t count = 0;
    std::uint64_t last_number = 0;
};

slots_type& slots() {
    static auto* const all = new slots_type;  // static locals may go later than anything here
    return *all;
}

[[gnu::constructor(101)]] void prepare_for_forks() {
    ::pthread_atfork([] { slots().mutex.lock(); }, [] { slots().mutex.unlock(); }, [] { slots().mutex.unlock(); });
}

struct entry {
    std::uint64_t number = 0;
    void* value = nullptr;
    std::uint64_t order = 0;  // among the values that the thread got
    std::function<std::shared_ptr<void>()> take;
};

struct table {
    std::vector<entry> entries;
    std::uint64_t last_order = 0;

    /// The value that the thread got last goes first. The others can still be found meanwhile, because a destructor may
    /// ask for them. One that has gone is made anew then, and goes in its turn, unless that goes on and on: what is
    /// left goes with its local.
    ~table() {
        for (std::size_t left = 4 * entries.size(); left > 0; --left) {
            const auto last = std::ranges::max_element(entries, {}, &entry::order);
            if (last->order == 0) break;
            const entry taken = std::exchange(*last, {});
            static_cast<void>(taken.take());
        }
        std::vector<entry>().swap(entries);  // destructors of other thread-local objects may look again
    }
};

table& my_table() noexcept {
    static thread_local table mine;
    return mine;
}

}  // namespace

local_values::local_values() : core_(std::make_shared<core>()) {
    slots_type& all = slots();
    const std::lock_guard guard(all.mutex);
    number_ = ++all.last_number;
    if (all.free.empty()) {
        all.free.reserve(all.count + 1);  // so that giving a slot back never throws
        slot_ = all.count++;
    } else {
        slot_ = all.free.back();
        all.free.pop_back();
    }
}

local_values::~local_values() {
    {
        slots_type& all = slots();
        const std::lock_guard guard(all.mutex);
        all.free.push_back(slot_);
    }
    std::unordered_map<std::uint64_t, std::shared_ptr<void>> values;
    const std::lock_guard guard(core_->mutex);
    values.swap(core_->by_thread);
}

void* local_values::find() const noexcept {
    const std::vector<entry>& entries = my_table().entries;
    return slot_ < entries.size() && entries[slot_].number == number_ ? entries[slot_].value : nullptr;
}

void* local_values::add(std::shared_ptr<void> value) {
    void* const address = value.get();
    table& mine = my_table();
    std::vector<entry>& entries = mine.entries;
    if (entries.size() <= slot_) entries.resize(slot_ + 1);
    std::function<std::shared_ptr<void>()> take = [weak = std::weak_ptr(core_), thread = get_ident()] {
        const auto kept = weak.lock();
        return kept ? kept->take(thread) : nullptr;
    };
    {
        const std::lock_guard guard(core_->mutex);
        core_->by_thread.emplace(get_ident(), std::move(value));
    }
    entries[slot_] = {number_, address, ++mine.last_order, std::move(take)};
    return address;
}

}  // namespace tercet::threading
