// Large parts of arguments and results lie beside the message, in blocks of shared memory.

#include <tercet/multiprocessing.hpp>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <deque>
#include <filesystem>
#include <latch>
#include <limits>
#include <map>
#include <memory>
#include <numeric>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "multiprocessing/block_cache.hpp"
#include "process_probe.hpp"

namespace tercet::multiprocessing {
namespace {

using namespace std::chrono_literals;

constexpr std::uint64_t everything = std::numeric_limits<std::uint64_t>::max();
constexpr std::size_t many = 100'000;  // of anything: more than a small block

std::vector<double> numbers(std::size_t count, double first) {
    std::vector<double> all(count);
    std::iota(all.begin(), all.end(), first);
    return all;
}
std::vector<double> add(std::vector<double> all, double number) {
    for (double& each : all) each += number;
    return all;
}

/// How many blocks a process has; 0: this one.
std::size_t open_blocks(pid_t pid = 0) {
    std::size_t count = 0;
    for (const auto& each : std::filesystem::directory_iterator(
             "/proc/" + (pid == 0 ? std::string("self") : std::to_string(pid)) + "/fd")) {
        std::error_code gone;
        if (std::filesystem::read_symlink(each, gone).string().find("tercet-block") != std::string::npos) ++count;
    }
    return count;
}

/// A source of blocks for a test.
class one_block final : public block_source {
public:
    message_block* block() noexcept override { return &block_; }

private:
    message_block block_;
};

TEST(message_block, large_elements_go_beside_the_message_and_come_back) {
    const std::map<std::string, std::vector<double>> small_and_large{
        {"small", numbers(3, 1)}, {"large", numbers(many, 5)}, {"larger", numbers(3 * many + 1, 0.5)}};
    const std::vector<std::string> texts{std::string(many, 'a'), "b", std::string(many + 7, 'c')};
    one_block source;
    encoder out(byte_buffer(), &source);
    encode(out, small_and_large);
    encode(out, texts);
    EXPECT_LT(out.buffer().size(), 1'000U);
    EXPECT_GT(out.block_size(), (4 * many + 1) * sizeof(double) + 2 * many);
    auto descriptors = out.take_descriptors();
    EXPECT_EQ(descriptors.size(), 1U);
    decoder in(out.buffer().bytes(), descriptors, everything);
    EXPECT_EQ((decode<std::map<std::string, std::vector<double>>>(in)), small_and_large);
    EXPECT_EQ(decode<std::vector<std::string>>(in), texts);
    in.expect_end();
}

TEST(message_block, without_a_place_for_blocks_everything_stands_in_the_message) {
    encoder out;
    encode(out, numbers(many, 1));
    EXPECT_TRUE(out.take_descriptors().empty());
    decoder in(out.buffer().bytes());
    EXPECT_EQ(decode<std::vector<double>>(in), numbers(many, 1));
}

TEST(message_block, a_container_that_does_not_lie_in_one_piece_stands_in_the_message) {
    const std::deque<int> pieces(many, 3);
    one_block source;
    encoder out(byte_buffer(), &source);
    encode(out, pieces);
    EXPECT_TRUE(out.take_descriptors().empty());
    decoder in(out.buffer().bytes());
    EXPECT_EQ(decode<std::deque<int>>(in), pieces);
}

class hostile_block : public testing::Test {
protected:
    /// Decodes a vector whose elements are said to be in `file`.
    static std::vector<double> decode_from(int file, std::uint64_t count, std::uint64_t at) {
        encoder out;
        out.write_raw(count | is_in_block);
        out.write_raw(at);
        if (file >= 0) out.write_descriptor(file);
        auto descriptors = out.take_descriptors();
        decoder in(out.buffer().bytes(), descriptors, everything);
        return decode<std::vector<double>>(in);
    }

    unique_fd file{::memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING)};
};

TEST_F(hostile_block, one_that_could_become_shorter_is_refused) {
    ASSERT_EQ(::ftruncate(file.get(), 4096), 0);
    EXPECT_THROW(decode_from(file.get(), 4, 0), decode_error);
    ASSERT_EQ(::fcntl(file.get(), F_ADD_SEALS, F_SEAL_SHRINK), 0);
    EXPECT_EQ(decode_from(file.get(), 4, 0), std::vector<double>(4));
}

TEST_F(hostile_block, a_part_that_is_not_inside_is_refused) {
    ASSERT_EQ(::ftruncate(file.get(), 4096), 0);
    ASSERT_EQ(::fcntl(file.get(), F_ADD_SEALS, F_SEAL_SHRINK), 0);
    EXPECT_EQ(decode_from(file.get(), 512, 0).size(), 512U);
    EXPECT_THROW(decode_from(file.get(), 513, 0), decode_error);
    EXPECT_THROW(decode_from(file.get(), 512, 64), decode_error);
    EXPECT_THROW(decode_from(file.get(), 1, 8), decode_error);  // not aligned
    EXPECT_THROW(decode_from(file.get(), 1, ~std::uint64_t{63}), decode_error);
    EXPECT_THROW(decode_from(file.get(), std::uint64_t{1} << 62U, 0), decode_error);
    EXPECT_THROW(decode_from(file.get(), (std::uint64_t{1} << 61U) + 1, 0), decode_error);
}

TEST_F(hostile_block, parts_that_lie_on_one_another_are_refused) {
    ASSERT_EQ(::ftruncate(file.get(), 4096), 0);
    ASSERT_EQ(::fcntl(file.get(), F_ADD_SEALS, F_SEAL_SHRINK), 0);
    const auto decode_two_at = [this](std::uint64_t second) {
        encoder out;
        for (const std::uint64_t at : {std::uint64_t{0}, second}) {
            out.write_raw(std::uint64_t{8} | is_in_block);
            out.write_raw(at);
        }
        out.write_descriptor(file.get());
        auto descriptors = out.take_descriptors();
        decoder in(out.buffer().bytes(), descriptors, everything);
        return decode<std::array<std::vector<double>, 2>>(in);
    };
    EXPECT_EQ(decode_two_at(64)[1].size(), 8U);
    EXPECT_THROW(decode_two_at(0), decode_error);
}

TEST_F(hostile_block, one_that_is_empty_missing_or_no_such_file_is_refused) {
    ASSERT_EQ(::fcntl(file.get(), F_ADD_SEALS, F_SEAL_SHRINK), 0);
    EXPECT_THROW(decode_from(file.get(), 1, 0), decode_error);
    EXPECT_THROW(decode_from(-1, 1, 0), decode_error);
    const unique_fd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
    EXPECT_THROW(decode_from(null.get(), 1, 0), decode_error);
}

TEST_F(hostile_block, more_than_may_be_there_is_refused) {
    one_block source;
    encoder out(byte_buffer(), &source);
    encode(out, numbers(many, 1));
    auto descriptors = out.take_descriptors();
    decoder in(out.buffer().bytes(), descriptors, many * sizeof(double) - 1);
    EXPECT_THROW(decode<std::vector<double>>(in), decode_error);
    decoder unprepared(out.buffer().bytes(), descriptors);
    EXPECT_THROW(decode<std::vector<double>>(unprepared), decode_error);
}

TEST(message_block, when_no_descriptor_can_go_with_it_everything_stands_in_the_message) {
    one_block source;
    encoder out(byte_buffer(), &source);
    for (std::size_t i = 0; i < max_descriptors; ++i) out.write_descriptor(0);
    encode(out, numbers(many, 1));
    EXPECT_EQ(out.block_size(), 0U);
    decoder in(out.buffer().bytes());
    EXPECT_EQ(decode<std::vector<double>>(in), numbers(many, 1));
}

TEST(block_cache, blocks_are_used_again_and_go_when_nobody_wants_them) {
    const auto bytes = numbers(many, 1);
    block_cache cache;
    EXPECT_TRUE(cache.is_empty());
    auto block = cache.take();
    block->append(bytes.data(), many);
    const int file = block->file();
    cache.give_back(std::move(block));
    EXPECT_FALSE(cache.is_empty());
    cache.trim();
    block = cache.take();
    EXPECT_EQ(block->file(), file);
    EXPECT_EQ(block->size(), 0U);
    block->append(bytes.data(), many);
    cache.give_back(std::move(block));
    cache.trim();  // it was used since the last time
    EXPECT_FALSE(cache.is_empty());
    cache.trim();
    EXPECT_TRUE(cache.is_empty());
}

TEST(block_cache, one_that_is_far_larger_than_its_message_is_not_kept) {
    const std::string bytes(std::size_t{8} << 20U, 'x');
    block_cache cache;
    auto block = cache.take();
    block->append(bytes.data(), bytes.size());
    cache.give_back(std::move(block));
    EXPECT_FALSE(cache.is_empty());
    block = cache.take();
    block->append(bytes.data(), 100'000);
    cache.give_back(std::move(block));
    EXPECT_TRUE(cache.is_empty());
}

TEST(process_blocks, arrays_go_there_and_back) {
    process_pool_executor pool(2);
    std::vector<future<std::vector<double>>> results;
    for (std::size_t i = 0; i < 10; ++i)
        results.push_back(pool.submit(add, numbers(many * (i + 1), static_cast<double>(i)), 1.0));
    for (std::size_t i = 0; i < 10; ++i)
        EXPECT_EQ(results[i].result(), numbers(many * (i + 1), static_cast<double>(i) + 1));
}

TEST(process_blocks, an_array_larger_than_a_huge_page_arrives) {
    process_pool_executor pool(1);
    EXPECT_EQ(pool.submit(add, numbers(20 * many, 3), 1.0).result(), numbers(20 * many, 4));
}

TEST(process_blocks, a_call_that_is_made_again_has_its_array_again) {
    const auto die_first = [](const std::vector<double>& all, const std::string& flag) {
        if (!std::filesystem::exists(flag)) {
            std::filesystem::create_directory(flag);
            ::_exit(9);
        }
        return std::accumulate(all.begin(), all.end(), 0.0);
    };
    const signpost place;
    process_pool_executor pool(1);
    auto call = pool.submit({.retries = 1}, die_first, std::vector<double>(many, 2), place.path() + "-tried");
    EXPECT_EQ(call.result(), 2.0 * many);
}

TEST(process_blocks, a_worker_that_dies_with_an_array_costs_its_call_only) {
    process_pool_executor pool(1);
    auto dies = pool.submit([](const std::vector<double>&) { ::_exit(9); }, numbers(many, 1));
    auto lives = pool.submit(add, numbers(many, 1), 1.0);
    EXPECT_THROW(dies.result(), worker_died);
    EXPECT_EQ(lives.result(), numbers(many, 2));
}

/// An array whose reading, in this process, waits in the middle.
class held_array {
public:
    static inline std::atomic<pid_t> reader{0};
    static inline std::latch* is_being_read = nullptr;
    static inline std::latch* door = nullptr;

    std::vector<double> values;

    template <class Archive>
    void serialize(Archive& archive) {
        int front = 0;
        archive(front);
        if constexpr (Archive::is_loading)
            if (::getpid() == reader) {
                is_being_read->count_down();
                door->wait();
            }
        archive(values);
    }
};

TEST(process_blocks, a_worker_does_not_write_over_a_result_that_is_being_read) {
    std::latch is_being_read(1);
    std::latch door(1);
    held_array::is_being_read = &is_being_read;
    held_array::door = &door;
    held_array::reader = ::getpid();
    const auto make = [](double first) { return held_array{numbers(many, first)}; };
    const auto make_and_tell = [](double first, const std::string& here) {
        signpost::write(here, 1);
        return numbers(many, first);
    };
    const signpost here;
    process_pool_executor pool(1);
    auto first = pool.submit(make, 1.0);
    std::jthread reader([&] { first.wait(); });
    is_being_read.wait();
    auto second = pool.submit(make_and_tell, 1000.0, here.path());
    here.next();
    const pid_t worker = pool.worker_pids().at(0);
    wait_until_asleep(worker);  // it waits for the place of the first result
    door.count_down();
    EXPECT_EQ(first.result().values, numbers(many, 1));
    EXPECT_EQ(second.result(), numbers(many, 1000));
    held_array::reader = 0;
}

TEST(process_blocks, their_memory_is_given_back_also_while_small_calls_go_on) {
    process_pool_executor pool(1);
    pool.submit(add, numbers(many, 1), 1.0).result();
    const pid_t worker = pool.worker_pids().at(0);
    EXPECT_GT(open_blocks(worker), 0U);
    while (open_blocks() + open_blocks(worker) != 0) pool.submit([] {}).result();
}

TEST(process_blocks, their_memory_is_given_back_when_it_is_not_needed_for_a_while) {
    process_pool_executor pool(1);
    EXPECT_EQ(pool.submit(add, numbers(many, 1), 1.0).result().size(), many);
    const pid_t worker = pool.worker_pids().at(0);
    EXPECT_GT(open_blocks() + open_blocks(worker), 0U);
    while (open_blocks() + open_blocks(worker) != 0) std::this_thread::yield();
    EXPECT_EQ(pool.submit(add, numbers(many, 1), 1.0).result(), numbers(many, 2));
    EXPECT_EQ(pool.worker_pids().at(0), worker);
}

TEST(process_blocks, a_forked_copy_does_not_write_into_the_blocks_of_its_parent) {
    process_pool_executor pool(1);
    pool.submit(add, numbers(many, 1), 1.0).result();  // leaves a block
    const signpost here;
    const signpost gate;
    const auto sum_later = [](const std::string& path, const std::string& gate_path, const std::vector<double>& all) {
        signpost::write(path, 1);
        signpost::read(gate_path);
        return std::accumulate(all.begin(), all.end(), 0.0);
    };
    auto wait = pool.submit(signpost::read, gate.path());  // the next call stays in the queue, and in its block
    auto sum = pool.submit(sum_later, here.path(), gate.path(), std::vector<double>(many, 1));
    const pid_t child = ::fork();
    if (child == 0) {
        try {
            pool.submit(add, std::vector<double>(many, 7), 1.0);
        } catch (const invalid_state_error&) {
            ::_exit(0);
        }
        ::_exit(1);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    EXPECT_EQ(status, 0);
    signpost::write(gate.path(), 1);
    wait.result();
    here.next();
    signpost::write(gate.path(), 1);
    EXPECT_EQ(sum.result(), many);
}

/// What can be encoded only in part.
struct half_done {
    std::vector<double> first = numbers(many, 1);
    template <class Archive>
    void serialize(Archive& archive) {
        archive(first);
        if constexpr (Archive::is_saving) throw std::runtime_error(std::string(200'000, 'y'));
    }
};

TEST(process_blocks, an_exception_with_a_long_text_arrives) {
    process_pool_executor pool(1);
    const auto complain = [](std::size_t length) -> int { throw std::runtime_error(std::string(length, 'x')); };
    try {
        pool.submit(complain, std::size_t{300'000}).result();
        FAIL();
    } catch (const std::runtime_error& error) {
        EXPECT_EQ(error.what(), std::string(300'000, 'x'));
    }
    // Also when a part of a result was in a block already.
    const auto half = [](int) { return half_done(); };
    EXPECT_THROW(pool.submit(half, 1).result(), std::runtime_error);
    EXPECT_EQ(pool.submit(numbers, many, 2.0).result(), numbers(many, 2));
}

TEST(process_blocks, memory_of_arguments_is_given_back_also_when_who_waits_reads_the_answer) {
    const auto sum = [](const std::vector<double>& all) { return std::accumulate(all.begin(), all.end(), 0.0); };
    process_pool_executor pool(1);
    for (int i = 0; i < 100; ++i) pool.submit([] {}).result();  // the pool's thread sleeps, for ever if it may
    EXPECT_EQ(pool.submit(sum, std::vector<double>(many, 1)).result(), many);
    const auto limit = std::chrono::steady_clock::now() + 30s;
    while (open_blocks() != 0 && std::chrono::steady_clock::now() < limit) std::this_thread::yield();
    EXPECT_EQ(open_blocks(), 0U);
}

TEST(process_blocks, they_go_with_the_pool) {
    const std::size_t before = open_fds();
    {
        process_pool_executor pool(2);
        for (int i = 0; i < 5; ++i) pool.submit(add, numbers(many, 1), 1.0).result();
    }
    EXPECT_EQ(open_blocks(), 0U);
    EXPECT_LE(open_fds(), before + 2);  // the fork server's
}

TEST(process_blocks, count_for_the_limit_of_a_message_and_of_the_queue) {
    process_pool_executor pool({.max_workers = 1, .max_message_bytes = 200'000});
    EXPECT_THROW(pool.submit(add, numbers(many, 1), 1.0).result(), std::length_error);
    EXPECT_THROW(pool.submit(numbers, many, 1.0).result(), std::length_error);
    EXPECT_EQ(pool.submit(numbers, std::size_t{20'000}, 1.0).result(), numbers(20'000, 1));
}

}  // namespace
}  // namespace tercet::multiprocessing
