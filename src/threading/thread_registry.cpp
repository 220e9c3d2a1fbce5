// The list of the threads that are alive. It is never destroyed: daemons look at it when main is long over.
//
// The main thread is entered when the program starts, before main. A fork takes the mutex first, so that the child
// finds the list whole; the child keeps the thread that forked, and makes it the main one.
//
// At the end of the process, an exit handler asks those to stop that hold it up, and waits for them. It is registered
// with the first thread that starts, so it runs before the destructors of the objects that were made before that.

#include <pthread.h>
#include <threading/thread_registry.hpp>
#include <threading/thread_state.hpp>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <mutex>
#include <utility>

namespace tercet::threading {

namespace {

struct registry {
    quick_lock mutex;
    std::vector<std::shared_ptr<thread_state>> alive;
    std::shared_ptr<thread_state> main;
    std::uint64_t last_name = 0;
    std::uint64_t last_dummy = 0;
};

registry& known();

/// The state of the calling thread; takes a dummy from the list when its thread ends.
struct current_holder {
    std::shared_ptr<thread_state> state;
    ~current_holder() {
        if (!state || state->kind_ != thread_state::kind_type::dummy) return;
        state->stage = thread_state::stage_type::over;
        thread_registry::remove(*state);
    }
};

current_holder& current() {
    static thread_local current_holder holder;
    return holder;
}

void after_fork() noexcept {
    registry& threads = known();
    threads.mutex.unlock();
    const std::shared_ptr<thread_state> survivor = current().state;
    for (const auto& each : threads.alive)
        if (each != survivor) each->is_lost_in_fork();
    threads.alive.clear();
    if (!survivor) {
        threads.main = nullptr;  // made anew when it is asked for
        return;
    }
    survivor->becomes_main_in_fork();
    threads.main = survivor;
    threads.alive.push_back(survivor);
}

registry& known() {
    static auto* const threads = new registry;
    return *threads;
}

[[gnu::constructor(101)]] void prepare_for_forks() {
    ::pthread_atfork([] { known().mutex.lock(); }, [] { known().mutex.unlock(); }, [] { after_fork(); });
}

std::shared_ptr<thread_state> adopt(thread_state::kind_type kind, std::string name) {
    auto state = std::make_shared<thread_state>(kind, std::move(name));
    state->adopt_calling_thread();
    thread_registry::set_current(state);
    thread_registry::add(state);
    return state;
}

/// The calling thread is the main one: it was there first, or it is the only one since a fork.
std::shared_ptr<thread_state> adopt_main() {
    auto state = adopt(thread_state::kind_type::main, "MainThread");
    const std::lock_guard guard(known().mutex);
    known().main = state;
    return state;
}

const bool main_is_known = [] {
    if (::gettid() == ::getpid()) adopt_main();
    return true;
}();

void wait_for_all_but_daemons() noexcept {
    for (;;) {
        std::vector<std::shared_ptr<thread_state>> waited_for = thread_registry::all();
        std::erase_if(waited_for, [](const auto& each) {
            return each->kind_ != thread_state::kind_type::own || each->daemon || each->is_calling_thread();
        });
        if (waited_for.empty()) return;
        for (const auto& each : waited_for) each->stop.request_stop();
        for (const auto& each : waited_for) each->wait_until_over();
    }
}

}  // namespace

namespace thread_registry {

void add(std::shared_ptr<thread_state> state) {
    static constinit std::atomic<bool> is_registered{false};
    if (state->kind_ == thread_state::kind_type::own && !is_registered.exchange(true))
        std::atexit([] { wait_for_all_but_daemons(); });
    const std::lock_guard guard(known().mutex);
    known().alive.push_back(std::move(state));
}

void remove(const thread_state& state) noexcept {
    std::shared_ptr<thread_state> removed;  // goes without the mutex
    const std::lock_guard guard(known().mutex);
    auto& alive = known().alive;
    const auto found = std::ranges::find(alive, &state, &std::shared_ptr<thread_state>::get);
    if (found == alive.end()) return;
    removed = std::move(*found);
    alive.erase(found);
}

std::vector<std::shared_ptr<thread_state>> all() {
    const std::lock_guard guard(known().mutex);
    return known().alive;
}

void set_current(std::shared_ptr<thread_state> state) noexcept { current().state = std::move(state); }

std::string next_name() {
    const std::lock_guard guard(known().mutex);
    return "Thread-" + std::to_string(++known().last_name);
}

}  // namespace thread_registry

std::vector<thread_handle> enumerate() {
    std::vector<thread_handle> handles;
    for (auto& each : thread_registry::all()) handles.emplace_back(std::move(each));
    return handles;
}

std::size_t active_count() {
    const std::lock_guard guard(known().mutex);
    return known().alive.size();
}

thread_handle current_thread() {
    if (const auto& state = current().state) return thread_handle(state);
    if (::gettid() == ::getpid()) return thread_handle(adopt_main());
    std::string name;
    {
        const std::lock_guard guard(known().mutex);
        name = "Dummy-" + std::to_string(++known().last_dummy);
    }
    return thread_handle(adopt(thread_state::kind_type::dummy, std::move(name)));
}

thread_handle main_thread() {
    {
        const std::lock_guard guard(known().mutex);
        if (known().main) return thread_handle(known().main);
    }
    return current_thread();  // the only thread of a forked child
}

}  // namespace tercet::threading
