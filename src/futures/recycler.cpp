// Magazines, after Bonwick and Adams (2001). Blocks come in multiples of 32 bytes up to 2 KiB, less the word that
// malloc keeps beside each, so that these two fill what malloc rounds up to. A thread has two lists for each size, of
// at most a magazine's worth of blocks: it frees to and allocates from one, and changes over to the other when that is
// full or empty. Only when both are full it leaves one in the depot, where a thread whose lists are both empty finds
// it. So where one thread allocates what another frees, the lock of the depot is taken once for a magazine. What finds
// no room goes to operator delete.
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
constexpr std::size_t magazines_in_depot = 32;

constexpr std::uint32_t blocks_of_a_magazine(std::size_t index) {
    return static_cast<std::uint32_t>(
        std::clamp<std::size_t>(bytes_of_a_magazine / block_class::bytes(index), 16, 256));
}

struct freed {
    freed* next;
    freed* next_magazine;  // of the first block of a magazine
};

class depot {
public:
    bool give(freed* magazine) noexcept {
        const std::lock_guard lock(mutex_);
        if (count_.load(std::memory_order_relaxed) == magazines_in_depot) return false;
        magazine->next_magazine = std::exchange(first_, magazine);
        count_.store(count_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
        return true;
    }
    // For a fork: the child must not find it locked by a thread that it does not have.
    void lock() noexcept { mutex_.lock(); }
    void unlock() noexcept { mutex_.unlock(); }

    freed* take() noexcept {
        if (count_.load(std::memory_order_relaxed) == 0) return nullptr;
        const std::lock_guard lock(mutex_);
        if (!first_) return nullptr;
        count_.store(count_.load(std::memory_order_relaxed) - 1, std::memory_order_relaxed);
        return std::exchange(first_, first_->next_magazine);
    }

private:
    std::mutex mutex_;
    std::atomic<std::size_t> count_{0};  // read without the lock as a hint
    freed* first_ = nullptr;
};

constinit std::array<depot, classes> depots;

[[maybe_unused]] const int is_ready_for_forks = [] {
    constexpr auto unlock_all = [] {
        for (depot& each : depots) each.unlock();
    };
    return ::pthread_atfork(
        [] {
            for (depot& each : depots) each.lock();
        },
        unlock_all, unlock_all);
}();

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
            if (freed* const spare = std::exchange(mine.spare, nullptr); spare && !depots[i].give(spare))
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
        if (full && !depots[index].give(full)) delete_list(full);
    }
    mine.current = ::new (block) freed{mine.current, nullptr};
    --mine.room;
}

[[gnu::noinline]] void* allocate_from_elsewhere(std::size_t index) {
    lists& mine = local.of[index];
    freed* magazine = std::exchange(mine.spare, nullptr);
    if (!magazine && local.was_opened && mine.room != 0) magazine = depots[index].take();
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
