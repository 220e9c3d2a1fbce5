#include <tercet/multiprocessing.hpp>

#include <gtest/gtest.h>

#include <cstring>
#include <stdexcept>
#include <string>
#include <variant>
#include <vector>

namespace tercet::multiprocessing {
namespace {

using item = shareable_list::item;

TEST(shareable_list, keeps_items_of_every_type) {
    const std::vector<item> items{"howdy", -273, 100.0, std::monostate(), true, ""};
    const shareable_list list(items);
    EXPECT_EQ(list.size(), 6U);
    EXPECT_EQ(list.items(), items);
    EXPECT_EQ(std::get<std::string>(list.get(0)), "howdy");
    EXPECT_EQ(std::get<std::int64_t>(list.get(1)), -273);
    EXPECT_EQ(std::get<double>(list.get(2)), 100.0);
    EXPECT_EQ(std::get<bool>(list.get(4)), true);
    EXPECT_THROW(list.get(6), std::out_of_range);
    EXPECT_THROW(list.set(6, 0), std::out_of_range);
    EXPECT_EQ(shareable_list().size(), 0U);
}

TEST(shareable_list, refuses_a_longer_value_and_keeps_the_old_one) {
    const shareable_list list({"howdy", 1});
    list.set(0, "12345678");
    EXPECT_THROW(list.set(0, "123456789"), std::length_error);
    EXPECT_EQ(list.get(0), item("12345678"));
    EXPECT_THROW(list.set(1, "encyclopedia"), std::length_error);
    EXPECT_EQ(list.get(1), item(1));
    EXPECT_FALSE(list.get_lock().locked());
}

TEST(shareable_list, takes_items_of_another_type) {
    const shareable_list list({"a long string, longer than a number", 1});
    list.set(0, 2.5);
    EXPECT_EQ(list.get(0), item(2.5));
    list.set(0, "a long string again, as long as it");
    list.set(1, "short");
    EXPECT_EQ(list.items(), (std::vector<item>{"a long string again, as long as it", "short"}));
    list.set(1, std::monostate());
    EXPECT_EQ(list.get(1), item(std::monostate()));
}

TEST(shareable_list, counts_and_finds) {
    const shareable_list list({1, 2.0, "x", 1, "x", "x"});
    EXPECT_EQ(list.count("x"), 3U);
    EXPECT_EQ(list.count(1.0), 0U);
    EXPECT_EQ(list.index("x"), 2U);
    EXPECT_THROW(list.index("y"), std::invalid_argument);
}

TEST(shareable_list, sent_to_a_worker_is_the_same_there) {
    process_pool_executor pool(1);
    const shareable_list list({"before", 1});
    pool.submit([](shareable_list received) { received.set(0, "after"); }, list).result();
    EXPECT_EQ(list.get(0), item("after"));
}

TEST(shareable_list, whose_memory_was_overwritten_is_told) {
    const shareable_list list({"text"});
    // A hostile process writes everywhere but into the lock, which stands in the first bytes.
    encoder out;
    encode(out, list);
    const auto descriptors = out.take_descriptors();
    const auto memory = shared_segment::open(unique_fd(::dup(descriptors[0].get())), shared_segment::any_size,
                                             segment_access::read_write);
    std::memset(memory->data() + 128 + sizeof(std::uint64_t), 0x7f, memory->size() - 128 - sizeof(std::uint64_t));
    EXPECT_THROW(list.get(0), decode_error);
    std::memset(memory->data() + 128, 0x7f, sizeof(std::uint64_t));
    EXPECT_THROW(list.items(), decode_error);
}

}  // namespace
}  // namespace tercet::multiprocessing
