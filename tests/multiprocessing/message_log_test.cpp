#include "multiprocessing/message_log.hpp"

#include <tercet/multiprocessing/message_queue.hpp>

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <atomic>
#include <cstddef>
#include <vector>

namespace tercet::multiprocessing {
namespace {

TEST(message_log, gives_back_the_memory_of_what_was_taken) {
    message_log log(message_queue::unbounded, 0);
    const std::atomic<bool> is_closed{false};
    const std::vector<std::byte> block(100'000);
    byte_buffer taken;
    // Never empty, so that it goes on and on; then empty.
    const auto put = [&] { log.put(block, message_log::clock::time_point::max(), is_closed); };
    const auto get = [&] { log.get(taken, message_log::clock::time_point::max(), is_closed); };
    const auto memory = [&] {
        struct stat file {};
        ::fstat(log.descriptor(), &file);
        return static_cast<std::size_t>(file.st_blocks) * 512;
    };
    put();
    for (int i = 0; i < 200; ++i) {
        put();
        get();
        EXPECT_EQ(taken.size(), block.size());
    }
    EXPECT_LT(memory(), 3U << 20U);
    for (int i = 0; i < 100; ++i) put();
    EXPECT_GT(memory(), 9U << 20U);
    for (int i = 0; i < 101; ++i) get();
    EXPECT_EQ(log.size(), 0U);
    EXPECT_LT(memory(), 2U << 20U);
}

}  // namespace
}  // namespace tercet::multiprocessing
