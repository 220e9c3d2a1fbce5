#include <tercet/multiprocessing.hpp>

#include <gtest/gtest.h>

#include <csignal>
#include <mutex>
#include <stdexcept>
#include <vector>

#include "forked_child.hpp"

namespace tercet::multiprocessing {
namespace {

struct point {
    double x = 0;
    double y = 0;
};

TEST(value, loses_no_addition_of_several_processes) {
    const value<long> total(0);
    std::vector<forked_child> children;
    for (int i = 0; i < 4; ++i)
        children.emplace_back([&] {
            for (int k = 0; k < 25'000; ++k) total.update([](long& n) { ++n; });
            return 0;
        });
    for (auto& each : children) EXPECT_EQ(each.wait(), 0);
    EXPECT_EQ(total.get(), 100'000);
}

TEST(value, sent_to_a_worker_is_the_same_there) {
    process_pool_executor pool(1);
    const value<point> place(point{1, 2});
    pool.submit([](value<point> received) { received.update([](point& p) { p.x += p.y; }); }, place).result();
    EXPECT_EQ(place.get().x, 3);
    place.set({7, 8});
    EXPECT_EQ(place.get_obj().y, 8);
}

TEST(value, whose_owner_was_killed_can_be_used_and_says_so) {
    const value<int> number(1);
    forked_child([&]() -> int {
        number.get_lock().acquire();
        number.get_obj() = 2;
        die();
    }).wait();
    const std::lock_guard inside(number.get_lock());
    EXPECT_TRUE(number.get_lock().owner_died());
    EXPECT_EQ(number.get(), 2);
}

TEST(array, is_read_and_written_by_index_in_every_process) {
    process_pool_executor pool(1);
    const array<int> numbers(std::vector{1, 2, 3});
    pool.submit([](array<int> received) { received.set(1, received.get(0) + received.get(2)); }, numbers).result();
    EXPECT_EQ(numbers.get(1), 4);
    EXPECT_EQ(numbers.get_obj().size(), 3U);
    EXPECT_THROW(numbers.get(3), std::out_of_range);
    EXPECT_THROW(numbers.set(3, 0), std::out_of_range);
    EXPECT_EQ(array<int>(5).get(4), 0);
    EXPECT_FALSE(numbers.get_lock().locked());
}

TEST(array, that_is_larger_than_its_memory_is_refused) {
    encoder out;
    encode(out, array<char>(10));
    auto descriptors = out.take_descriptors();
    decoder in(out.buffer().bytes(), descriptors);
    EXPECT_THROW(decode<array<double>>(in), decode_error);
}

}  // namespace
}  // namespace tercet::multiprocessing
