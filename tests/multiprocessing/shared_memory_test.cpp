#include <tercet/multiprocessing.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <iterator>
#include <memory>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include "forked_child.hpp"

namespace tercet::multiprocessing {
namespace {

using namespace std::chrono_literals;

std::string unused_name(const char* what) { return std::string(what) + "-" + std::to_string(::getpid()); }

template <class Fn>
std::errc error_of(Fn fn) {
    try {
        fn();
    } catch (const std::system_error& e) {
        return static_cast<std::errc>(e.code().value());
    }
    return {};
}

void write(const shared_memory& memory, const std::string& text) {
    std::memcpy(memory.buf().data(), text.data(), text.size());
}
std::string read(const shared_memory& memory, std::size_t count) {
    return {reinterpret_cast<const char*>(memory.buf().data()), count};
}

/// For tests that fork. The thread that answers for names begins with the first, and has answered once when this
/// returns: a copy that is made while it allocates, as it does when it begins, hangs under ASan in the allocator's
/// lock.
shared_memory create_before_fork(const char* what, std::size_t size) {
    auto board = shared_memory::create(unused_name(what), size);
    shared_memory::attach(board.name());
    return board;
}

std::ptrdiff_t names_in_dev_shm() {
    const std::filesystem::directory_iterator all("/dev/shm");
    return std::distance(begin(all), end(all));
}

TEST(shared_memory, attached_by_name_shows_the_same_bytes) {
    auto board = create_before_fork("board", 512);
    write(board, "hello");
    EXPECT_EQ(board.size(), 512U);
    forked_child other([&] {
        const auto same = shared_memory::attach(board.name());
        const bool is_same = same.size() == 512 && read(same, 5) == "hello";
        write(same, "jello");
        return is_same ? 1 : 0;
    });
    EXPECT_EQ(other.wait(), 1);
    EXPECT_EQ(read(board, 5), "jello");
    auto here = shared_memory::attach(board.name());
    EXPECT_EQ(read(here, 5), "jello");
}

TEST(shared_memory, name_that_is_taken_is_refused_and_one_that_is_not_there_too) {
    const auto board = shared_memory::create(unused_name("taken"), 10);
    EXPECT_EQ(error_of([&] { shared_memory::create(board.name(), 10); }), std::errc::file_exists);
    EXPECT_EQ(error_of([] { shared_memory::attach(unused_name("nobody")); }), std::errc::no_such_file_or_directory);
    EXPECT_EQ(error_of([] { shared_memory::create(0); }), std::errc::invalid_argument);
    EXPECT_THROW(shared_memory::create("", 1), std::invalid_argument);
    EXPECT_THROW(shared_memory::attach(std::string(61, 'x')), std::invalid_argument);
    EXPECT_THROW(shared_memory::create(std::string("a\0b", 3), 1), std::invalid_argument);
    EXPECT_NE(shared_memory::create(1).name(), shared_memory::create(1).name());
}

TEST(shared_memory, unlinked_while_it_is_attached_stays_mapped) {
    auto board = shared_memory::create(unused_name("gone"), 10);
    auto same = shared_memory::attach(board.name());
    write(board, "abc");
    board.unlink();
    EXPECT_EQ(error_of([&] { shared_memory::attach(board.name()); }), std::errc::no_such_file_or_directory);
    EXPECT_EQ(error_of([&] { board.unlink(); }), std::errc::no_such_file_or_directory);
    EXPECT_EQ(read(same, 3), "abc");
    for (int i = 0; i < 100; ++i) {
        auto next = shared_memory::create(board.name(), 20);
        EXPECT_EQ(shared_memory::attach(board.name()).size(), 20U);
        EXPECT_EQ(read(same, 3), "abc");
    }
}

TEST(shared_memory, is_unlinked_by_one_who_attached_it) {
    auto board = create_before_fork("foreign", 10);
    forked_child other([&] {
        shared_memory::attach(board.name()).unlink();
        return error_of([&] { shared_memory::attach(board.name()); }) == std::errc::no_such_file_or_directory ? 1 : 0;
    });
    EXPECT_EQ(other.wait(), 1);
    const auto next = shared_memory::create(board.name(), 5);
    EXPECT_EQ(shared_memory::attach(board.name()).size(), 5U);
    EXPECT_EQ(board.size(), 10U);
    EXPECT_EQ(error_of([&] { board.unlink(); }), std::errc::no_such_file_or_directory);
    EXPECT_EQ(shared_memory::attach(board.name()).size(), 5U);
}

TEST(shared_memory, name_goes_with_its_creator_that_is_killed) {
    const auto before = names_in_dev_shm();
    const std::string name = unused_name("killed");
    const event created;
    forked_child creator([&] {
        auto board = shared_memory::create(name, 10);
        write(board, "left");
        created.set();
        for (;;) ::pause();
        return 0;
    });
    ASSERT_TRUE(created.wait(60s));
    const auto attached = shared_memory::attach(name);
    creator.kill();
    EXPECT_EQ(error_of([&] { shared_memory::attach(name); }), std::errc::no_such_file_or_directory);
    EXPECT_EQ(read(attached, 4), "left");
    EXPECT_EQ(shared_memory::create(name, 20).size(), 20U);
    EXPECT_EQ(names_in_dev_shm(), before);
}

TEST(shared_memory, name_stays_when_one_who_attached_it_goes) {
    const auto board = create_before_fork("stays", 10);
    forked_child([&] {
        const auto attached = shared_memory::attach(board.name());
        return static_cast<int>(attached.size());
    }).wait();
    forked_child([&]() -> int {
        const auto attached = shared_memory::attach(board.name());
        die();
    }).wait();
    EXPECT_EQ(shared_memory::attach(board.name()).size(), 10U);
}

TEST(shared_memory, closed_has_no_bytes_and_keeps_its_name) {
    auto board = shared_memory::create(unused_name("closed"), 10);
    board.close();
    EXPECT_TRUE(board.buf().empty());
    EXPECT_EQ(board.size(), 0U);
    EXPECT_EQ(shared_memory::attach(board.name()).size(), 10U);
    board.unlink();
}

TEST(shared_memory, belongs_to_the_handle_that_it_was_moved_to) {
    auto first = shared_memory::create(unused_name("moved"), 10);
    const std::string name = first.name();
    {
        const shared_memory second(std::move(first));
        first = shared_memory();
        EXPECT_EQ(shared_memory::attach(name).size(), 10U);
    }
    EXPECT_EQ(error_of([&] { shared_memory::attach(name); }), std::errc::no_such_file_or_directory);
}

TEST(shared_memory, of_a_forked_copy_does_not_keep_the_name) {
    auto board = std::make_unique<shared_memory>(create_before_fork("forked", 10));
    const std::string name = board->name();
    const event over;
    forked_child copy([&] {
        over.wait();
        return 0;
    });
    board.reset();
    EXPECT_EQ(error_of([&] { shared_memory::attach(name); }), std::errc::no_such_file_or_directory);
    over.set();
    EXPECT_EQ(copy.wait(), 0);
}

TEST(shared_memory, is_found_by_name_in_workers_and_sent_to_them) {
    process_pool_executor pool(1);
    auto board = shared_memory::create(unused_name("workers"), 10);
    pool.submit([](const std::string& name) { write(shared_memory::attach(name), "by name"); }, board.name()).result();
    EXPECT_EQ(read(board, 7), "by name");
    const auto handle = [](const shared_memory& received) {
        write(received, "by hand");
        return received.name();
    };
    encoder out;
    encode(out, board);
    auto descriptors = out.take_descriptors();
    decoder in(out.buffer().bytes(), descriptors);
    EXPECT_EQ(handle(decode<shared_memory>(in)), board.name());
    EXPECT_EQ(read(board, 7), "by hand");
    EXPECT_EQ(shared_memory::attach(board.name()).size(), 10U);
}

TEST(shared_memory, leaves_no_descriptor_and_no_thread_behind) {
    const auto threads = [] {
        const std::filesystem::directory_iterator all("/proc/self/task");
        return std::distance(begin(all), end(all));
    };
    { const auto first = shared_memory::create(10); }
    const auto before = open_fds();
    for (int i = 0; i < 50; ++i) {
        const auto one = shared_memory::create(10);
        const auto same = shared_memory::attach(one.name());
    }
    EXPECT_EQ(open_fds(), before);
    { const auto last = shared_memory::create(10); }
    while (threads() > 2) std::this_thread::yield();  // ThreadSanitizer has one of its own
}

}  // namespace
}  // namespace tercet::multiprocessing
