#include <tercet/multiprocessing.hpp>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <limits>
#include <new>
#include <numeric>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "forked_child.hpp"

namespace tercet::multiprocessing {
namespace {

/// What an array looks like when another process sends it with a size that it made up.
struct forged {
    std::uint64_t count = 0;
    int fd = -1;
    template <class Archive>
    void serialize(Archive& archive) {
        if constexpr (Archive::is_saving) {
            archive.write_raw(count);
            archive.write_descriptor(fd);
        }
    }
};

template <class T = int>
void decode_forged(const forged& what) {
    encoder out;
    encode(out, what);
    auto descriptors = out.take_descriptors();
    decoder in(out.buffer().bytes(), descriptors);
    decode<shared_array<T>>(in);
}

unique_fd memory_file(off_t size, int seals) {
    unique_fd file(::memfd_create("forged", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    EXPECT_EQ(::ftruncate(file.get(), size), 0);
    EXPECT_EQ(::fcntl(file.get(), F_ADD_SEALS, seals), 0);
    return file;
}

TEST(shared_array, is_changed_in_place_by_a_worker) {
    process_pool_executor pool(2);
    const shared_array<double> numbers(1'000);
    std::iota(numbers.begin(), numbers.end(), 0.0);
    const auto twice = [](shared_array<double> all, std::size_t first, std::size_t last) {
        for (double& each : all.span().subspan(first, last - first)) each *= 2;
    };
    auto low = pool.submit(twice, numbers, std::size_t{0}, std::size_t{500});
    auto high = pool.submit(twice, numbers, std::size_t{500}, std::size_t{1'000});
    low.result();
    high.result();
    for (std::size_t i = 0; i < numbers.size(); ++i) ASSERT_EQ(numbers[i], 2.0 * static_cast<double>(i));
}

TEST(shared_array, made_by_a_worker_comes_back_by_its_handle) {
    process_pool_executor pool(1);
    const auto made = pool.submit([] { return shared_array<int>(std::vector{3, 1, 2}); }).result();
    EXPECT_EQ(std::vector<int>(made.begin(), made.end()), (std::vector{3, 1, 2}));
    const auto same = pool.submit([](shared_array<int> all) { return all; }, made).result();
    EXPECT_EQ(same.data(), made.data());
}

TEST(shared_array, of_const_cannot_be_written_where_it_is_sent) {
    process_pool_executor pool(1);
    const shared_array<int> numbers(std::vector{1, 2, 3});
    const shared_array<const int> readable(numbers);
    EXPECT_EQ(readable.data(), numbers.data());
    const auto sum = [](shared_array<const int> all) { return std::accumulate(all.begin(), all.end(), 0); };
    EXPECT_EQ(pool.submit(sum, readable).result(), 6);
    auto killed =
        pool.submit([](shared_array<const int> all) { *const_cast<volatile int*>(all.data()) = 7; }, readable);
    EXPECT_THROW(killed.result(), worker_died);
    EXPECT_EQ(numbers[0], 1);
    const auto again = [](shared_array<const int> all) { return all; };
    EXPECT_EQ(pool.submit(again, readable).result()[2], 3);
}

TEST(shared_array, of_four_gigabytes_is_sent_like_a_small_one) {
    process_pool_executor pool(1);
    const std::size_t count = std::size_t{4} << 30U;
    const shared_array<char> big(count);
    big[count - 1] = 'x';
    const auto last = [](shared_array<char> all) { return all[all.size() - 1]; };
    EXPECT_EQ(pool.submit(last, big).result(), 'x');
    encoder out;
    encode(out, big);
    EXPECT_LE(out.buffer().size(), 16U);
}

/// How many arrays this process has mapped.
int mapped_arrays() {
    std::ifstream maps("/proc/self/maps");
    int count = 0;
    for (std::string line; std::getline(maps, line);)
        if (line.find("memfd:tercet-array") != std::string::npos) ++count;
    return count;
}

TEST(shared_array, stays_mapped_in_a_worker_from_one_call_to_the_next_and_not_for_long) {
    constexpr std::size_t large = 100'000;
    process_pool_executor pool(1);
    const auto place = [](const shared_array<double>& array) { return reinterpret_cast<std::uintptr_t>(array.data()); };
    const shared_array<double> first(large);
    const auto where = pool.submit(place, first).result();
    EXPECT_EQ(pool.submit(mapped_arrays).result(), 1);
    EXPECT_EQ(pool.submit(place, first).result(), where);
    pool.submit(place, shared_array<double>(10)).result();
    EXPECT_EQ(pool.submit(mapped_arrays).result(), 1) << "a small one";
    for (int i = 0; i < 5; ++i) pool.submit(place, shared_array<double>(large)).result();
    EXPECT_EQ(pool.submit(mapped_arrays).result(), 2);
    EXPECT_EQ(pool.submit(place, first).result() != 0, true);
    while (pool.submit(mapped_arrays).result() != 0) std::this_thread::yield();
}

TEST(shared_array, is_let_go_by_a_worker_that_has_nothing_to_do) {
    process_pool_executor pool(1);
    pool.submit([](const shared_array<double>& array) { return array.size(); }, shared_array<double>(100'000)).result();
    const pid_t worker = pool.worker_pids().front();
    const auto has_mapped = [worker] {
        std::ifstream maps("/proc/" + std::to_string(worker) + "/maps");
        for (std::string line; std::getline(maps, line);)
            if (line.find("memfd:tercet-array") != std::string::npos) return true;
        return false;
    };
    EXPECT_TRUE(has_mapped());
    while (has_mapped()) std::this_thread::sleep_for(std::chrono::milliseconds(10));
}

TEST(shared_array, of_nothing_and_of_too_much) {
    process_pool_executor pool(1);
    const auto size = [](shared_array<int> all) { return all.size(); };
    EXPECT_EQ(pool.submit(size, shared_array<int>()).result(), 0U);
    EXPECT_TRUE(shared_array<int>(0).span().empty());
    EXPECT_THROW(shared_array<int>{std::numeric_limits<std::size_t>::max()}, std::bad_array_new_length);
}

TEST(shared_array, that_was_moved_from_has_no_elements) {
    shared_array<int> first(std::vector{1, 2});
    const int* const data = first.data();
    const shared_array<int> copy = first;
    shared_array<int> second(std::move(first));
    first = shared_array<int>();
    EXPECT_TRUE(first.span().empty());
    EXPECT_EQ(second.data(), data);
    EXPECT_EQ(copy.data(), data);
    first = std::move(second);
    EXPECT_EQ(first.size(), 2U);
}

TEST(shared_array, survives_the_death_of_who_made_it) {
    shared_array<int> received;
    {
        process_pool_executor pool(1);
        received = pool.submit([] { return shared_array<int>(std::vector{5}); }).result();
        EXPECT_THROW(pool.submit([] { ::raise(SIGKILL); }).result(), worker_died);
    }
    EXPECT_EQ(received[0], 5);
}

TEST(shared_array, that_does_not_fit_its_memory_is_refused) {
    const unique_fd sealed = memory_file(40, F_SEAL_SHRINK | F_SEAL_GROW);
    decode_forged({10, sealed.get()});
    EXPECT_THROW(decode_forged({11, sealed.get()}), decode_error);
    EXPECT_THROW(decode_forged({9, sealed.get()}), decode_error);
    EXPECT_THROW(decode_forged({std::uint64_t{1} << 63U, sealed.get()}), decode_error);
    const unique_fd can_shrink = memory_file(40, 0);
    EXPECT_THROW(decode_forged({10, can_shrink.get()}), decode_error);
    const unique_fd no_memory(::open("/dev/null", O_RDWR | O_CLOEXEC));
    EXPECT_THROW(decode_forged({10, no_memory.get()}), decode_error);
}

TEST(shared_array, that_can_only_be_read_is_not_taken_for_one_to_write) {
    const shared_array<const int> readable(std::vector{1, 2});
    encoder out;
    encode(out, readable);
    auto descriptors = out.take_descriptors();
    decoder in(out.buffer().bytes(), descriptors);
    EXPECT_THROW(decode<shared_array<int>>(in), decode_error);
}

TEST(shared_array, leaves_no_descriptor_behind_in_either_process) {
    process_pool_executor pool(1);
    const auto use = [](shared_array<int> all) { return all.size(); };
    const auto count = [] { return open_fds(); };
    pool.submit(use, shared_array<int>(10)).result();
    const auto here = open_fds();
    const auto there = pool.submit(count).result();
    for (int i = 0; i < 100; ++i) pool.submit(use, shared_array<int>(10)).result();
    EXPECT_EQ(open_fds(), here);
    EXPECT_EQ(pool.submit(count).result(), there);
}

}  // namespace
}  // namespace tercet::multiprocessing
