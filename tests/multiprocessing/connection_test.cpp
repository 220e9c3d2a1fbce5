#include <tercet/futures/errors.hpp>
#include <tercet/multiprocessing/connection.hpp>
#include <tercet/multiprocessing/pipe.hpp>
#include <tercet/multiprocessing/process.hpp>

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <map>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "process_probe.hpp"
#include "signal_storm.hpp"

namespace tercet::multiprocessing {
namespace {

using namespace std::chrono_literals;

std::vector<std::byte> block_of(std::size_t size) {
    std::vector<std::byte> block(size);
    for (std::size_t i = 0; i < size; ++i) block[i] = static_cast<std::byte>(i * 31 % 251);
    return block;
}

/// A file descriptor that travels.
class sent_fd {
public:
    sent_fd() = default;
    explicit sent_fd(unique_fd fd) : fd_(std::move(fd)) {}
    int get() const { return fd_.get(); }

    template <class Archive>
    void serialize(Archive& archive) {
        if constexpr (Archive::is_saving)
            archive.write_descriptor(fd_.get());
        else
            fd_ = archive.read_descriptor();
    }

private:
    unique_fd fd_;
};

TEST(connection, values_of_every_kind_go_both_ways) {
    auto [a, b] = pipe();
    a.send("text");
    a.send(std::map<std::string, std::vector<int>>{{"x", {1, 2}}});
    b.send(3.5);
    EXPECT_EQ(b.recv<std::string>(), "text");
    EXPECT_EQ((b.recv<std::map<std::string, std::vector<int>>>()),
              (std::map<std::string, std::vector<int>>{{"x", {1, 2}}}));
    EXPECT_EQ(a.recv<double>(), 3.5);
}

TEST(connection, a_value_of_another_type_is_refused_and_the_next_one_arrives) {
    auto [a, b] = pipe();
    a.send(1);
    a.send(2U);
    a.send_bytes(block_of(3));
    a.send(4);
    EXPECT_THROW(b.recv<std::string>(), decode_error);
    EXPECT_THROW(b.recv<int>(), decode_error);
    EXPECT_THROW(b.recv<int>(), decode_error);
    EXPECT_EQ(b.recv<int>(), 4);
}

TEST(connection, blocks_keep_their_boundaries_at_every_size) {
    auto [a, b] = pipe();
    const std::vector<std::size_t> sizes{0,      1,      2,      23,      24, 25,        4'095,           4'096, 4'097,
                                         65'535, 65'536, 65'537, 131'072, 0,  1U << 20U, (3U << 20U) + 1, 1,     0};
    std::jthread sender([&, line = &a] {
        for (const auto size : sizes) line->send_bytes(block_of(size));
    });
    for (const auto size : sizes) {
        EXPECT_TRUE(b.poll(10s));
        EXPECT_EQ(b.recv_bytes(), block_of(size)) << size;
    }
    EXPECT_FALSE(b.poll());
}

TEST(connection, an_empty_block_is_a_message_that_poll_sees) {
    auto [a, b] = pipe();
    EXPECT_FALSE(b.poll());
    a.send_bytes({});
    EXPECT_TRUE(b.poll());
    EXPECT_TRUE(b.recv_bytes().empty());
    EXPECT_FALSE(b.poll());
}

TEST(connection, small_messages_are_never_merged) {
    auto [a, b] = pipe();
    for (int i = 0; i < 100; ++i) a.send_bytes(block_of(static_cast<std::size_t>(i % 3)));
    for (int i = 0; i < 100; ++i) EXPECT_EQ(b.recv_bytes().size(), static_cast<std::size_t>(i % 3));
    EXPECT_FALSE(b.poll());
}

TEST(connection, a_block_above_the_size_asked_for_is_refused) {
    auto [a, b] = pipe();
    a.send_bytes(block_of(100));
    EXPECT_THROW(b.recv_bytes({}, 99), decode_error);
    EXPECT_THROW(b.recv_bytes(), decode_error);
}

TEST(connection, the_end_is_seen_after_all_that_was_sent) {
    auto [a, b] = pipe();
    a.send(1);
    a.close();
    EXPECT_TRUE(a.closed());
    EXPECT_EQ(b.recv<int>(), 1);
    EXPECT_TRUE(b.poll());
    EXPECT_THROW(b.recv<int>(), eof_error);
    EXPECT_THROW(b.send(1), std::system_error);
    EXPECT_THROW(a.send(1), invalid_state_error);
    EXPECT_THROW(a.recv<int>(), invalid_state_error);
    EXPECT_THROW(a.poll(), invalid_state_error);
    EXPECT_THROW(a.fileno(), invalid_state_error);
}

TEST(connection, a_pipe_of_one_direction_goes_one_way) {
    auto [reader, writer] = pipe(false);
    EXPECT_TRUE(reader.readable() && !reader.writable() && writer.writable() && !writer.readable());
    EXPECT_THROW(reader.send(1), invalid_state_error);
    EXPECT_THROW(writer.recv<int>(), invalid_state_error);
    writer.send(1);
    EXPECT_EQ(reader.recv<int>(), 1);
}

TEST(connection, time_limits_hold_and_lose_nothing) {
    auto [a, b] = pipe();
    const auto start = std::chrono::steady_clock::now();
    EXPECT_THROW(b.recv<int>(20ms), timeout_error);
    EXPECT_FALSE(b.poll(20ms));
    EXPECT_GE(std::chrono::steady_clock::now() - start, 40ms);
    // A message in three parts: a piece of its head, some of the rest, and what is left.
    auto [raw, line] = pipe();
    auto [probe, source] = pipe();
    source.send_bytes(block_of(100));
    std::vector<char> wire(200);
    const auto size = static_cast<std::size_t>(::read(probe.fileno(), wire.data(), wire.size()));
    for (std::size_t from = 0, part = 10; from < size; from += part, part = from == 10 ? 40 : size - from) {
        EXPECT_THROW(line.recv_bytes(5ms), timeout_error);
        ASSERT_EQ(::write(raw.fileno(), wire.data() + from, part), static_cast<ssize_t>(part));
    }
    EXPECT_EQ(line.recv_bytes(10s), block_of(100));
}

TEST(connection, a_message_sent_in_part_ends_the_stream) {
    auto [a, b] = pipe();
    EXPECT_THROW(a.send_bytes(block_of(8U << 20U), 10ms), timeout_error);
    EXPECT_THROW(a.send(1), invalid_state_error);
    EXPECT_THROW(b.recv_bytes(), eof_error);
}

TEST(connection, signals_are_invisible_and_the_time_limit_holds) {
    auto [a, b] = pipe();
    signal_storm storm;
    const auto start = std::chrono::steady_clock::now();
    EXPECT_FALSE(b.poll(100ms));
    EXPECT_THROW(b.recv<int>(100ms), timeout_error);
    const auto took = std::chrono::steady_clock::now() - start;
    EXPECT_GE(took, 200ms);
    EXPECT_LT(took, 10s);
    EXPECT_GT(storm.count(), 0);
    std::jthread sender([line = &a] { line->send_bytes(block_of(4U << 20U)); });
    EXPECT_EQ(b.recv_bytes(), block_of(4U << 20U));
}

TEST(connection, a_large_file_descriptor_is_usable_in_the_child) {
    rlimit limit{};
    ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &limit), 0);
    if (limit.rlim_cur < 700) GTEST_SKIP() << "RLIMIT_NOFILE is " << limit.rlim_cur;
    int ends[2];
    ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
    const unique_fd readable(ends[0]);
    const unique_fd low(ends[1]);
    sent_fd large(unique_fd(::fcntl(low.get(), F_DUPFD_CLOEXEC, 600)));
    ASSERT_GE(large.get(), 600);
    auto [here, there] = pipe();
    process child(
        [](connection line) {
            const auto fd = line.recv<sent_fd>();
            if (::write(fd.get(), "hello", 5) != 5) std::exit(1);
        },
        there);
    child.start();
    here.send(large);
    char text[5];
    EXPECT_EQ(::read(readable.get(), text, 5), 5);
    EXPECT_EQ(std::string(text, 5), "hello");
    child.join();
}

TEST(connection, a_missing_file_descriptor_is_a_clear_error) {
    auto [a, b] = pipe();
    EXPECT_THROW(a.send(sent_fd()), std::system_error);
    a.send(1);
    EXPECT_EQ(b.recv<int>(), 1);
}

TEST(connection, connections_travel_over_connections) {
    auto [here, there] = pipe();
    process child(
        [](connection line) {
            auto inner = line.recv<connection>();
            inner.send(inner.recv<int>() + 1);
        },
        there);
    child.start();
    there.close();
    auto [mine, yours] = pipe();
    here.send(yours);
    yours.close();
    mine.send(41);
    EXPECT_EQ(mine.recv<int>(), 42);
    child.join();
    EXPECT_THROW(mine.recv<int>(), eof_error);
}

}  // namespace
}  // namespace tercet::multiprocessing
