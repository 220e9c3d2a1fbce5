// Every thread has a list of the locks that it holds, and a word about the one it waits for, under a lock of its own:
// threads that use different locks never meet here, so that ThreadSanitizer still sees the races between them. Only
// who lists all locks, and who releases the lock of another thread, enters another thread's list.
//
// Lists are never freed: one whose thread has ended goes to the next thread, unless locks are still in it, which then
// show an owner that has ended, and whose waiters are told so. A note leaves its list before its lock becomes free, so
// the next owner finds it out.

#include <tercet/threading/lock_diagnostics.hpp>

#if TERCET_LOCK_DIAGNOSTICS

#include <tercet/futures/errors.hpp>
#include <tercet/threading/thread_ident.hpp>

#include <fmt/format.h>
#include <pthread.h>
#include <unistd.h>

#include <algorithm>
#include <mutex>
#include <unordered_map>
#include <utility>

namespace tercet::threading {

struct held_list {
    /// The thread ends.
    void abandon_locks() noexcept {
        for (lock_note* each = first; each; each = each->next_) each->abandon();
    }

    quick_lock mutex;
    lock_note* first = nullptr;
    std::uint64_t ident = 0;
    int native_id = 0;
    const lock_note* waits_for = nullptr;
    std::source_location waits_at{};
    held_list* next = nullptr;  // of all lists; written once
    bool is_in_use = true;      // under the mutex of the registry
};

namespace {

struct registry {
    std::mutex mutex;
    held_list* first = nullptr;
};

registry& all_lists() {
    static auto* const lists = new registry;  // lives as long as the last thread, which may be longer than main
    return *lists;
}

[[gnu::constructor(101)]] void prepare_for_forks() {
    ::pthread_atfork([] { all_lists().mutex.lock(); }, [] { all_lists().mutex.unlock(); },
                     [] {
                         all_lists().mutex.unlock();
                         for (held_list* each = all_lists().first; each; each = each->next) each->mutex.reinit();
                     });
}

held_list& take_list() {
    registry& lists = all_lists();
    const std::lock_guard guard(lists.mutex);
    held_list* list = lists.first;
    while (list && (list->is_in_use || list->first)) list = list->next;
    if (!list) {
        list = new held_list;
        list->next = std::exchange(lists.first, list);
    }
    list->is_in_use = true;
    const std::lock_guard inner(list->mutex);
    list->ident = get_ident();
    list->native_id = get_native_id();
    return *list;
}

/// The list of this thread while it lives.
struct list_holder {
    held_list* list = nullptr;
    ~list_holder() {
        if (!list) return;
        const std::lock_guard guard(all_lists().mutex);
        const std::lock_guard inner(list->mutex);
        if (!list->first) list->is_in_use = false;
        if (list->native_id != ::getpid()) list->abandon_locks();  // at the end of main the process is going
        list = nullptr;
    }
};

held_list& my_list() {
    static thread_local list_holder holder;
    if (!holder.list) holder.list = &take_list();
    return *holder.list;
}

std::string place_of(const std::source_location& site) {
    return site.line() == 0 ? "a guard" : fmt::format("{}:{}", site.file_name(), site.line());
}

/// Threads that wait for each other in a circle, one text a circle.
std::string cycles_of(const std::vector<held_lock>& locks) {
    std::unordered_map<std::uint64_t, const held_lock*> waits_for;
    for (const held_lock& each : locks)
        for (const auto& waiter : each.waiters) waits_for[waiter.ident] = &each;
    std::string text;
    for (const auto& [start, unused] : waits_for) {
        std::vector<std::uint64_t> path{start};
        for (auto at = waits_for.find(start); at != waits_for.end(); at = waits_for.find(at->second->owner)) {
            const std::uint64_t next = at->second->owner;
            if (next == start) {
                if (*std::ranges::min_element(path) != start) break;  // told once, from its lowest number
                text += "deadlock:";
                for (const std::uint64_t each : path)
                    text += fmt::format(" thread {} waits for {} {};", each, waits_for[each]->kind,
                                        waits_for[each]->address);
                text += " nobody can go on\n";
                break;
            }
            if (std::ranges::find(path, next) != path.end()) break;
            path.push_back(next);
        }
    }
    return text;
}

}  // namespace

void lock_note::acquired(std::source_location site) noexcept {
    held_list& list = my_list();
    const std::lock_guard guard(list.mutex);
    site_ = site;
    next_ = list.first;
    previous_ = nullptr;
    if (next_) next_->previous_ = this;
    list.first = this;
    owner_.store(&list, std::memory_order_relaxed);
}

void lock_note::released() noexcept {
    held_list* const list = owner_.load(std::memory_order_relaxed);
    if (!list) return;
    const std::lock_guard guard(list->mutex);
    if (owner_.load(std::memory_order_relaxed) != list) return;
    (previous_ ? previous_->next_ : list->first) = next_;
    if (next_) next_->previous_ = previous_;
    owner_.store(nullptr, std::memory_order_relaxed);
}

void lock_note::begins_to_wait(std::source_location site) noexcept {
    held_list& list = my_list();
    const std::lock_guard guard(list.mutex);
    list.waits_for = this;
    list.waits_at = site;
}

void lock_note::ends_to_wait() noexcept {
    held_list& list = my_list();
    const std::lock_guard guard(list.mutex);
    list.waits_for = nullptr;
}

void lock_note::check_owner() const {
    if (!word_.is_abandoned()) return;
    held_list* const list = owner_.load(std::memory_order_relaxed);
    std::string owner = "its thread";
    if (list) {
        const std::lock_guard guard(list->mutex);
        if (owner_.load(std::memory_order_relaxed) == list)
            owner = fmt::format("thread {} (native id {}), which took it at {},", list->ident, list->native_id,
                                place_of(site_));
    }
    throw invalid_state_error(
        fmt::format("{} {}: {} has ended without releasing it", kind_, static_cast<const void*>(this), owner));
}

std::vector<held_lock> held_locks() {
    std::vector<held_lock> held;
    std::unordered_map<const lock_note*, std::vector<held_lock::waiter>> waiters;
    std::vector<const lock_note*> notes;
    const std::lock_guard guard(all_lists().mutex);
    for (held_list* list = all_lists().first; list; list = list->next) {
        const std::lock_guard inner(list->mutex);
        if (list->waits_for) waiters[list->waits_for].push_back({list->ident, list->waits_at});
        for (const lock_note* note = list->first; note; note = note->next_) {
            held.push_back({.address = note,
                            .kind = note->kind_,
                            .owner = list->ident,
                            .native_owner = list->native_id,
                            .site = note->site_});
            notes.push_back(note);
        }
    }
    for (std::size_t i = 0; i < held.size(); ++i)
        if (const auto found = waiters.find(notes[i]); found != waiters.end()) held[i].waiters = found->second;
    return held;
}

std::string deadlock_report() {
    const std::vector<held_lock> locks = held_locks();
    std::string text;
    for (const held_lock& each : locks) {
        text += fmt::format("{} {}: held by thread {} (native id {}), taken at {}\n", each.kind, each.address,
                            each.owner, each.native_owner, place_of(each.site));
        for (const auto& waiter : each.waiters)
            text += fmt::format("  thread {} waits for it at {}\n", waiter.ident, place_of(waiter.site));
    }
    return text + cycles_of(locks);
}

}  // namespace tercet::threading

#else

namespace tercet::threading {

std::vector<held_lock> held_locks() { return {}; }
std::string deadlock_report() { return {}; }

}  // namespace tercet::threading

#endif
