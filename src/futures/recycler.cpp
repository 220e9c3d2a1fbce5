// Magazines, after Bonwick and Adams (2001). Blocks come in multiples of 32 bytes up to 2 KiB, less the word that
// malloc keeps beside each, so that these two fill what malloc rounds up to. A thread has two lists for each size, of
// at most a magazine's worth of blocks: it frees to and allocates from one, and changes over to the other when that is
// full or empty. Only when both are full it leaves one in the depot, where a thread whose lists are both empty finds
// it. So where one thread allocates what another frees, the lock of the depots is taken once for a magazine. The depots
// of all sizes share one bound, which holds what a pool of threads has in a full queue of calls; what finds no room
// goes to operator delete.
//
// A thread's lists count down the room that they have left. All begin without any: the first free of a thread takes the
// slow path, which gives them room and sees to it that they are emptied when the thread ends. The cache itself is
// trivially destructible, because blocks die late: a static object may own one. After the end the lists have no room
// for good.

#include <tercet/futures/recycler.hpp>

#include <pthread.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <mutex>
#include <new>
#include <utility>

#if defined(__SANITIZE_ADDRESS__)
#define TERCET_RECYCLER 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define TERCET_RECYCLER 0
#endif
#endif
#ifndef TERCET_RECYCLER
#define TERCET_RECYCLER 1
#endif

namespace tercet {

#if TERCET_RECYCLER

namespace {

constexpr std::size_t classes = block_class::count;
// glibc keeps free blocks of up to 120 bytes apart and puts them together all at once later, again and again: for a
// million tasks that costs more than everything else.
constexpr std::size_t least_of_malloc = 136;
constexpr std::size_t bytes_of_a_magazine = std::size_t{1} << 15;
constexpr std::ptrdiff_t most_in_depots = std::ptrdiff_t{1} << 24;

constexpr std::uint32_t blocks_of_a_magazine(std::size_t index) {
    return static_cast<std::uint32_t>(
        std::clamp<std::size_t>(bytes_of_a_magazine / block_class::bytes(index), 16, 256));
}

constexpr std::ptrdiff_t size_of_a_magazine(std::size_t index) {
    return static_cast<std::ptrdiff_t>(blocks_of_a_magazine(index) *
                                       std::max(block_class::bytes(index), least_of_malloc));
}

struct freed {
    freed* next;
    freed* next_magazine;  // of the first block of a magazine
};

// One mutex for all depots: a fork takes it, and ThreadSanitizer follows no more than 64 that are held at once.
constinit std::mutex depots_mutex;
constinit std::ptrdiff_t room_in_depots = most_in_depots;

/// The full magazines of one size.
class depot {
public:
    /// False: there is no room.
    bool give(freed* magazine, std::ptrdiff_t bytes) noexcept {
        const std::lock_guard lock(depots_mutex);
        if (room_in_depots < bytes) return false;
        room_in_depots -= bytes;
        magazine->next_magazine = first_.load(std::memory_order_relaxed);
        first_.store(magazine, std::memory_order_relaxed);
        return true;
    }
    /// Null: there is none.
    freed* take(std::ptrdiff_t bytes) noexcept {
        if (!first_.load(std::memory_order_relaxed)) return nullptr;
        const std::lock_guard lock(depots_mutex);
        freed* const magazine = first_.load(std::memory_order_relaxed);
        if (!magazine) return nullptr;
        room_in_depots += bytes;
        first_.store(magazine->next_magazine, std::memory_order_relaxed);
        return magazine;
    }

private:
    std::atomic<freed*> first_{nullptr};  // changed under the mutex; a look without it is a hint
};

constinit std::array<depot, classes> depots;

[[gnu::constructor(101)]] void prepare_for_forks() {
    ::pthread_atfork([] { depots_mutex.lock(); }, [] { depots_mutex.unlock(); }, [] { depots_mutex.unlock(); });
}

struct lists {
    freed* current;
    std::uint32_t room;  // how many blocks `current` still takes
    freed* spare;        // nothing, or a full magazine
};

struct cache {
    std::array<lists, classes> of;
    bool was_opened;
};

constinit thread_local cache local{};

void delete_list(freed* list) noexcept {
    while (list) ::operator delete(std::exchange(list, list->next));
}

class emptier {
public:
    emptier() noexcept {
        for (std::size_t i = 0; i < classes; ++i) local.of[i].room = blocks_of_a_magazine(i);
    }
    emptier(const emptier&) = delete;
    emptier& operator=(const emptier&) = delete;
    ~emptier() {
        for (std::size_t i = 0; i < classes; ++i) {
            lists& mine = local.of[i];
            delete_list(std::exchange(mine.current, nullptr));
            if (freed* const spare = std::exchange(mine.spare, nullptr);
                spare && !depots[i].give(spare, size_of_a_magazine(i)))
                delete_list(spare);
            mine.room = 0;
        }
    }
};

[[gnu::noinline, gnu::cold]] void open_cache() noexcept {
    local.was_opened = true;
    static thread_local const emptier at_thread_end;
}

[[gnu::noinline]] void free_without_room(void* block, std::size_t index) noexcept {
    lists& mine = local.of[index];
    if (!local.was_opened) {
        open_cache();
    } else if (!mine.current) {
        return ::operator delete(block);  // the thread is past its end
    } else {
        freed* const full = std::exchange(mine.spare, std::exchange(mine.current, nullptr));
        mine.room = blocks_of_a_magazine(index);
        if (full && !depots[index].give(full, size_of_a_magazine(index))) delete_list(full);
    }
    mine.current = ::new (block) freed{mine.current, nullptr};
    --mine.room;
}

[[gnu::noinline]] void* allocate_from_elsewhere(std::size_t index) {
    lists& mine = local.of[index];
    freed* magazine = std::exchange(mine.spare, nullptr);
    if (!magazine && local.was_opened && mine.room != 0) magazine = depots[index].take(size_of_a_magazine(index));
    if (!magazine) {
        if (!local.was_opened) open_cache();
        return ::operator new(std::max(block_class::bytes(index), least_of_malloc));
    }
    mine.current = magazine->next;
    mine.room = 1;
    return magazine;
}

}  // namespace

void* block_class::allocate(std::size_t index) {
    lists& mine = local.of[index];
    if (freed* const block = mine.current) {
        mine.current = block->next;
        ++mine.room;
        __builtin_prefetch(mine.current, 1);  // another thread may have freed it, then it is far away
        return block;
    }
    return allocate_from_elsewhere(index);
}

void block_class::free(void* block, std::size_t index) noexcept {
    lists& mine = local.of[index];
    if (mine.room == 0) return free_without_room(block, index);
    mine.current = ::new (block) freed{mine.current, nullptr};
    --mine.room;
}

#else

void* block_class::allocate(std::size_t index) { return ::operator new(bytes(index)); }
void block_class::free(void* block, std::size_t) noexcept { ::operator delete(block); }

#endif

}  // namespace tercet
