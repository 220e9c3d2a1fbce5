#include "multiprocessing/message_ring.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <random>
#include <string>
#include <thread>
#include <vector>

namespace tercet::multiprocessing {
namespace {

class message_ring : public testing::Test {
protected:
    static std::span<const std::byte> bytes(const std::string& text) { return std::as_bytes(std::span(text)); }
    static std::string text(const ring_reader::message& message) {
        return {reinterpret_cast<const char*>(message.payload.data()), message.payload.size()};
    }
    /// Writes if there is room.
    bool write(const std::string& payload, std::uint32_t kind = 1) {
        if (!writer.has_room(payload.size())) return false;
        writer.write(kind, payload.size(), bytes(payload));
        return true;
    }

    ring_cursors cursors;
    alignas(64) std::array<std::byte, 1024> room{};
    ring_writer writer{cursors, room};
    ring_reader reader{cursors, room};
};

TEST_F(message_ring, gives_back_what_was_written_in_order) {
    EXPECT_FALSE(reader.has_message());
    EXPECT_EQ(reader.front().record, nullptr);
    ASSERT_TRUE(write("one", 7));
    ASSERT_TRUE(write(""));
    EXPECT_TRUE(reader.has_message());
    auto message = reader.front();
    EXPECT_EQ(text(message), "one");
    EXPECT_EQ(message.kind, 7U);
    EXPECT_EQ(message.detail, 3U);
    EXPECT_EQ(text(reader.front()), "one");  // until it is taken
    reader.take();
    message = reader.front();
    EXPECT_EQ(text(message), "");
    EXPECT_NE(message.record, nullptr);
    reader.take();
    EXPECT_FALSE(reader.has_message());
}

TEST_F(message_ring, says_which_records_are_no_more) {
    ASSERT_TRUE(write("one"));
    const auto first = writer.position();
    ASSERT_TRUE(write("two"));
    const auto second = writer.position();
    EXPECT_FALSE(writer.has_released(first));
    reader.front();
    reader.take();
    EXPECT_FALSE(writer.has_released(first));
    EXPECT_FALSE(writer.is_all_read());
    reader.release();
    EXPECT_TRUE(writer.has_released(first));
    EXPECT_FALSE(writer.has_released(second));
    reader.front();
    reader.take();
    reader.release();
    EXPECT_TRUE(writer.has_released(second));
    EXPECT_TRUE(writer.is_all_read());
}

TEST_F(message_ring, has_no_room_until_what_was_taken_is_released) {
    const std::string largest(writer.max_payload(), 'x');
    std::size_t written = 0;
    while (write(largest)) ++written;
    EXPECT_GE(written, 3U);
    while (reader.front().record) reader.take();
    EXPECT_FALSE(write(largest));
    reader.release();
    EXPECT_TRUE(write(largest));
}

TEST_F(message_ring, the_largest_message_fits_wherever_the_last_one_ended) {
    for (std::size_t before = 0; before < room.size(); ++before) {
        ASSERT_TRUE(write(std::string(before % 200, 'a')));
        ASSERT_TRUE(write(std::string(writer.max_payload(), 'b')));
        ASSERT_EQ(text(reader.front()), std::string(before % 200, 'a'));
        reader.take();
        ASSERT_EQ(text(reader.front()), std::string(writer.max_payload(), 'b'));
        reader.take();
        reader.release();
        ASSERT_FALSE(reader.is_malformed());
    }
}

TEST_F(message_ring, passes_messages_of_any_size_between_threads) {
    constexpr int count = 50'000;
    std::thread producer([this] {
        std::minstd_rand choices(1);
        for (int i = 0; i < count;) {
            const std::string payload(choices() % (writer.max_payload() + 1), static_cast<char>('a' + i % 26));
            while (!write(payload)) std::this_thread::yield();
            ++i;
        }
    });
    std::minstd_rand choices(1);
    int wrong = 0;
    for (int i = 0; i < count;) {
        const auto message = reader.front();
        if (!message.record) {
            if (reader.is_malformed()) break;
            std::this_thread::yield();
            continue;
        }
        if (text(message) != std::string(choices() % (writer.max_payload() + 1), static_cast<char>('a' + i % 26)))
            ++wrong;
        reader.take();
        reader.release();
        ++i;
    }
    producer.join();
    EXPECT_FALSE(reader.is_malformed());
    EXPECT_EQ(wrong, 0);
}

TEST_F(message_ring, a_cursor_that_cannot_be_ends_the_reading) {
    for (const std::uint64_t wrong : {std::uint64_t{1}, std::uint64_t{room.size() + 8}, ~std::uint64_t{0}}) {
        ring_cursors damaged;
        ring_reader victim(damaged, room);
        damaged.written.store(wrong);
        EXPECT_TRUE(victim.has_message());
        EXPECT_EQ(victim.front().record, nullptr);
        EXPECT_TRUE(victim.is_malformed());
        damaged.written.store(0);
        EXPECT_EQ(victim.front().record, nullptr);
        EXPECT_TRUE(victim.is_malformed());
    }
    ASSERT_TRUE(write("x"));
    ASSERT_NE(reader.front().record, nullptr);
    reader.take();
    cursors.written.store(0);  // behind what was read
    EXPECT_EQ(reader.front().record, nullptr);
    EXPECT_TRUE(reader.is_malformed());
}

TEST_F(message_ring, a_read_cursor_that_cannot_be_is_no_room) {
    while (write(std::string(100, 'x'))) {
    }
    cursors.read.store(~std::uint64_t{0});
    EXPECT_FALSE(writer.has_room(1));
    EXPECT_TRUE(writer.is_malformed());
}

TEST_F(message_ring, sizes_that_cannot_be_end_the_reading) {
    for (const std::uint64_t wrong :
         {std::uint64_t{2}, ~std::uint64_t{0}, ~std::uint64_t{0} - 7, std::uint64_t{1024}}) {
        ring_cursors damaged;
        ring_writer author(damaged, room);
        ring_reader victim(damaged, room);
        author.write(1, 0, {}).size = wrong;
        EXPECT_EQ(victim.front().record, nullptr) << wrong;
        EXPECT_TRUE(victim.is_malformed());
    }
}

TEST_F(message_ring, random_bytes_are_never_read_beyond_the_room) {
    std::minstd_rand choices(7);
    for (int round = 0; round < 20'000; ++round) {
        for (std::size_t at = 0; at < room.size(); at += 4) {
            const auto word = static_cast<std::uint32_t>(choices() % 3 == 0 ? choices() : choices() % 64);
            std::memcpy(&room[at], &word, sizeof word);
        }
        ring_cursors damaged;
        ring_reader victim(damaged, room);
        damaged.written.store(choices() % (room.size() + 100) / 8 * 8);
        for (int taken = 0; taken < 100; ++taken) {
            const auto message = victim.front();
            if (!message.record) break;
            if (!message.payload.empty()) {
                ASSERT_GE(message.payload.data(), room.data());
                ASSERT_LE(message.payload.data() + message.payload.size(), room.data() + room.size());
            }
            victim.take();
        }
    }
}

}  // namespace
}  // namespace tercet::multiprocessing
