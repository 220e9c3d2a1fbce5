#include <tercet/multiprocessing.hpp>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstring>
#include <fstream>
#include <limits>
#include <new>
#include <numeric>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "forked_child.hpp"
#include "process_probe.hpp"
#include "sanitizers.hpp"

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

constexpr std::size_t large = 100'000;

/// How many arrays a process has mapped.
int arrays_mapped_by(pid_t pid) {
    std::ifstream maps("/proc/" + std::to_string(pid) + "/maps");
    int count = 0;
    for (std::string line; std::getline(maps, line);)
        if (line.find("memfd:tercet-array") != std::string::npos) ++count;
    return count;
}

std::size_t size_of(const shared_array<double>& array) { return array.size(); }

/// Sends the array until the worker keeps it; a look may come too late, after it was let go again.
bool is_kept(process_pool_executor& pool, const shared_array<double>& array) {
    for (int i = 0; i < 100; ++i) {
        pool.submit(size_of, array).result();
        if (i != 0 && arrays_mapped_by(pool.worker_pids().front()) == 1) return true;
    }
    return false;
}

bool is_let_go_by(pid_t worker) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    while (arrays_mapped_by(worker) != 0) {
        if (std::chrono::steady_clock::now() > deadline) return false;
        std::this_thread::yield();
    }
    return true;
}

TEST(shared_array, that_is_sent_again_stays_mapped_in_the_worker_and_one_that_is_not_does_not) {
    process_pool_executor pool(1);
    for (int i = 0; i < 5; ++i) {
        pool.submit(size_of, shared_array<double>(large)).result();
        EXPECT_EQ(arrays_mapped_by(pool.worker_pids().front()), 0);
    }
    const shared_array<double> small(10);
    EXPECT_FALSE(is_kept(pool, small));
    const shared_array<double> again(large);
    EXPECT_TRUE(is_kept(pool, again));
    const shared_array<double> second(large);
    const shared_array<double> third(large);
    for (int i = 0; i < 10; ++i) {
        for (const auto* const each : {&again, &second, &third}) pool.submit(size_of, *each).result();
        EXPECT_LE(arrays_mapped_by(pool.worker_pids().front()), 2);
    }
}

TEST(shared_array, is_let_go_by_a_worker_that_has_nothing_to_do_and_by_one_that_does_something_else) {
    signpost gate;
    process_pool_executor pool(1);
    const shared_array<double> array(large);
    ASSERT_TRUE(is_kept(pool, array));
    const pid_t worker = pool.worker_pids().front();
    EXPECT_TRUE(is_let_go_by(worker));
    ASSERT_TRUE(is_kept(pool, array));
    auto other = pool.submit([](const std::string& path) { return signpost::read(path); }, gate.path());
    EXPECT_TRUE(is_let_go_by(worker));
    signpost::write(gate.path(), 1);
    other.result();
}

TEST(shared_array, that_is_kept_makes_room_for_one_that_does_not_fit_beside_it) {
    if (is_under_address_sanitizer || is_under_thread_sanitizer) GTEST_SKIP() << "sanitizers take address space";
    constexpr std::size_t count = std::size_t{25} << 20U;
    process_pool_executor pool({.max_workers = 1, .initializer = [] {
                                    std::size_t pages = 0;
                                    std::ifstream("/proc/self/statm") >> pages;
                                    const rlim_t limit = pages * 4096 + (std::size_t{300} << 20U);
                                    const rlimit both{limit, limit};
                                    if (::setrlimit(RLIMIT_AS, &both) != 0) throw std::runtime_error("setrlimit");
                                }});
    const shared_array<double> first(count);
    const shared_array<double> second(count);
    for (int i = 0; i < 3; ++i) {
        ASSERT_TRUE(is_kept(pool, first));
        EXPECT_EQ(pool.submit(size_of, second).result(), count);
    }
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
