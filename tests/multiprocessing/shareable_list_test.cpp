#include <tercet/multiprocessing.hpp>

#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <variant>
#include <vector>

#include "forked_child.hpp"

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

/// The memory behind a list, as a hostile process has it: the lock stands in the first bytes, the number of items
/// behind it, and then a slot for each.
class list_memory {
public:
    struct slot {
        std::uint64_t start;
        std::uint64_t capacity;
        std::uint64_t kind;
        std::uint64_t content;
    };
    explicit list_memory(const shareable_list& list) {
        encoder out;
        encode(out, list);
        const auto descriptors = out.take_descriptors();
        memory_ = shared_segment::open(unique_fd(::dup(descriptors[0].get())), shared_segment::any_size,
                                       segment_access::read_write);
    }
    std::uint64_t& count() const { return *reinterpret_cast<std::uint64_t*>(memory_->data() + 128); }
    slot& first() const { return *reinterpret_cast<slot*>(memory_->data() + 128 + sizeof(std::uint64_t)); }

private:
    decltype(shared_segment::open(unique_fd(), shared_segment::any_size, segment_access::read_write)) memory_;
};

TEST(shareable_list, whose_memory_was_overwritten_is_told) {
    constexpr std::uint64_t wrong = 0x7f7f7f7f7f7f7f7f;
    const shareable_list list({"text"});
    const list_memory memory(list);
    const auto whole = memory.first();
    EXPECT_EQ(std::get<std::string>(list.get(0)), "text");
    for (const auto field : {&list_memory::slot::start, &list_memory::slot::kind, &list_memory::slot::content}) {
        memory.first().*field = wrong;
        EXPECT_THROW(list.get(0), decode_error);
        memory.first() = whole;
        EXPECT_NO_THROW(list.get(0));
    }
    memory.first().capacity = memory.first().content = wrong;  // they agree, but the memory ends before
    EXPECT_THROW(list.get(0), decode_error);
    memory.first() = whole;
    memory.count() = wrong;
    EXPECT_THROW(list.items(), decode_error);
}

TEST(shareable_list, an_item_that_a_killed_process_was_setting_is_lost_and_says_so) {
    const std::string text(4'000, 'a');
    const std::string other(4'000, 'b');
    const shareable_list list({text});
    int lost = 0;
    for (int round = 0; round < 300; ++round) {
        forked_child writer([&]() -> int {
            for (;;) {
                list.set(0, other);
                list.set(0, text);
            }
        });
        const auto until = std::chrono::steady_clock::now() + std::chrono::microseconds(round * 7 % 1'000);
        while (std::chrono::steady_clock::now() < until) {
        }
        writer.kill();
        try {
            const item found = list.get(0);
            ASSERT_TRUE(found == item(other) || found == item(text)) << round;
        } catch (const decode_error& e) {
            ASSERT_NE(std::string(e.what()).find("item 0 is lost"), std::string::npos) << e.what();
            ++lost;
        }
        list.set(0, text);
        ASSERT_EQ(std::get<std::string>(list.get(0)), text);
    }
    RecordProperty("lost", lost);
}

TEST(shareable_list, an_item_that_is_being_written_is_no_value) {
    const shareable_list list({1, "x"});
    const list_memory memory(list);
    memory.first().kind = ~std::uint64_t{0};  // where a process was killed that sets it
    EXPECT_THROW(list.get(0), decode_error);
    EXPECT_EQ(std::get<std::string>(list.get(1)), "x");
    list.set(0, 2);
    EXPECT_EQ(std::get<std::int64_t>(list.get(0)), 2);
}

}  // namespace
}  // namespace tercet::multiprocessing
