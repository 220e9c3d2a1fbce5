// The parkers of helping threads are never freed, only given to the next thread: a wake-up that is still on its way
// when its thread goes finds a parker, and at worst wakes a stranger, who looks whether it is over and waits on.

#include <tercet/futures/helping_thread.hpp>

#include <pthread.h>

#include <memory>
#include <mutex>
#include <vector>

namespace tercet {

namespace {

constinit thread_local helping_thread* current_thread = nullptr;

struct parker_store {
    std::mutex mutex;
    std::vector<std::unique_ptr<parker>> spare;
};

parker_store& parkers() {
    static auto* const all = new parker_store;  // threads may outlive static objects
    return *all;
}

[[gnu::constructor(101)]] void prepare_for_forks() {
    ::pthread_atfork([] { parkers().mutex.lock(); }, [] { parkers().mutex.unlock(); },
                     [] { parkers().mutex.unlock(); });
}

parker& take_parker() {
    parker_store& store = parkers();
    const std::lock_guard lock(store.mutex);
    if (store.spare.empty()) return *new parker;
    parker& taken = *store.spare.back().release();
    store.spare.pop_back();
    return taken;
}

}  // namespace

helping_thread::helping_thread() : wake_up_(take_parker()) {}

helping_thread::~helping_thread() {
    parker_store& store = parkers();
    const std::lock_guard lock(store.mutex);
    try {
        store.spare.emplace_back(&wake_up_);
    } catch (...) {  // NOLINT(bugprone-empty-catch): no memory to remember it; it must not be freed either
    }
}

// Not inlined: see get_running_loop in asyncio.
[[gnu::noinline]] helping_thread* helping_thread::current() noexcept { return current_thread; }
[[gnu::noinline]] void helping_thread::set_current(helping_thread* thread) noexcept { current_thread = thread; }

}  // namespace tercet
