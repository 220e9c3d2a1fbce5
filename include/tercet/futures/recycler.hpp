#pragma once

#include <cstddef>
#include <new>

namespace tercet {

/// Memory for what comes and goes often: coroutine frames, tasks, the calls in the queues of executors. Free blocks are
/// kept by size, in steady state nothing is allocated. A block may be freed on any thread; full lists go from threads
/// that free to threads that allocate, and no more than 16 MiB of them wait for that. Under AddressSanitizer this is
/// plain operator new, so that mistakes stay visible. Throws `std::bad_alloc`.
void* allocate_block(std::size_t size);

/// `size` as it was allocated.
void free_block(void* block, std::size_t size) noexcept;

/// Which sizes have a list in common: the compiler knows the class where it knows the size.
struct block_class {
    static constexpr std::size_t step = 32;
    static constexpr std::size_t word_of_malloc = 8;
    static constexpr std::size_t count = 64;

    static constexpr std::size_t of(std::size_t size) noexcept { return (size + word_of_malloc - 1) / step; }
    static constexpr std::size_t bytes(std::size_t index) noexcept { return (index + 1) * step - word_of_malloc; }

    static void* allocate(std::size_t index);
    static void free(void* block, std::size_t index) noexcept;
};

inline void* allocate_block(std::size_t size) {
    const std::size_t index = block_class::of(size);
    return index < block_class::count ? block_class::allocate(index) : ::operator new(size);
}

inline void free_block(void* block, std::size_t size) noexcept {
    const std::size_t index = block_class::of(size);
    if (index < block_class::count)
        block_class::free(block, index);
    else
        ::operator delete(block);
}

}  // namespace tercet
