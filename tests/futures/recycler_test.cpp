#include <tercet/futures/recycler.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <malloc.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <thread>
#include <vector>

#include "sanitizers.hpp"

namespace {

using namespace tercet;

std::size_t allocated_bytes() { return ::mallinfo2().uordblks; }

std::vector<void*> allocate_blocks(std::size_t count, std::size_t size) {
    std::vector<void*> blocks(count);
    for (void*& each : blocks) each = allocate_block(size);
    return blocks;
}

void free_blocks_elsewhere(const std::vector<void*>& blocks, std::size_t size) {
    std::thread([&] {
        for (void* each : blocks) free_block(each, size);
    }).join();
}

class recycler : public testing::Test {
protected:
    void SetUp() override {
        if (is_under_address_sanitizer) GTEST_SKIP() << "nothing is kept under AddressSanitizer";
        if (is_under_thread_sanitizer) GTEST_SKIP() << "the sanitizer's allocator does not say what it has given";
    }
};

TEST(recycler_block, is_large_enough_and_aligned_like_memory_of_new) {
    for (const std::size_t size : std::to_array<std::size_t>({1, 31, 32, 33, 64, 96, 97, 2'048, 2'049, 100'000})) {
        void* const block = allocate_block(size);
        EXPECT_EQ(reinterpret_cast<std::uintptr_t>(block) % __STDCPP_DEFAULT_NEW_ALIGNMENT__, 0U);
        std::fill_n(static_cast<std::byte*>(block), size, std::byte{0x5a});
        free_block(block, size);
    }
}

TEST_F(recycler, keeps_what_a_full_queue_of_calls_took_and_gives_it_to_other_threads) {
    constexpr std::size_t count = 65'536;  // calls that a pool holds unless it is told otherwise
    constexpr std::size_t size = 96;
    const std::vector<void*> first = allocate_blocks(count, size);
    free_blocks_elsewhere(first, size);
    const std::size_t before = allocated_bytes();
    const std::vector<void*> second = allocate_blocks(count, size);
    EXPECT_LT(allocated_bytes() - before, count * size / 20);
    for (void* each : second) free_block(each, size);
}

TEST_F(recycler, keeps_sixteen_megabytes_at_most_of_all_sizes_together) {
    std::vector<std::vector<void*>> of_sizes;
    const std::size_t before = allocated_bytes();
    for (std::size_t size = 64; size <= 2'048; size *= 2) of_sizes.push_back(allocate_blocks((8U << 20) / size, size));
    EXPECT_GT(allocated_bytes() - before, 40U << 20);
    for (std::size_t size = 64; const auto& each : of_sizes) {
        free_blocks_elsewhere(each, size);
        size *= 2;
    }
    of_sizes.clear();
    EXPECT_LT(allocated_bytes() - std::min(before, allocated_bytes()), 17U << 20);
}

}  // namespace
