#include <tercet/asyncio.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sanitizers.hpp>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <latch>
#include <string>
#include <vector>

#include "asyncio/blocking_call.hpp"
#include "asyncio/few_descriptors.hpp"
#include "asyncio/file_threads.hpp"
#include "asyncio/open_descriptors.hpp"
#include "asyncio/temporary_directory.hpp"

using namespace std::chrono_literals;
using namespace tercet::asyncio;
using tercet::cancelled_error;
using tercet::invalid_state_error;
using testing::ElementsAre;
using testing::HasSubstr;

namespace {

std::string content_of(const std::string& path) {
    std::ifstream stream(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(stream), {}};
}

void put(const std::string& path, const std::string& content) { std::ofstream(path, std::ios::binary) << content; }

template <class Error, class T>
coro<std::string> text_of_error(coro<T> failing) {
    try {
        co_await std::move(failing);
    } catch (const Error& error) {
        co_return error.what();
    }
    co_return "no error";
}

/// Keeps every thread of the loop for blocking calls busy until it is opened.
class closed_gate {
public:
    coro<> close() {
        for (std::size_t i = 0; i < file_threads::max_threads; ++i) {
            auto wait = [this]() -> coro<> {
                auto call = blocking_call_of([this] {
                    entered_.count_down();
                    gate_.wait();
                    return 0;
                });
                co_await call;
            };
            waits_.push_back(spawn(wait));
        }
        co_await sleep(0s);
        entered_.wait();
    }
    void open() { gate_.count_down(); }
    coro<> wait() {
        for (auto& each : waits_) co_await each;
    }

private:
    std::latch entered_{file_threads::max_threads};
    std::latch gate_{1};
    std::vector<task<>> waits_;
};

}  // namespace

TEST(file, reads_back_what_was_written) {
    const temporary_directory where;
    auto main = [&]() -> coro<> {
        file out = co_await open_file(where / "a", open_mode::write);
        co_await out.write("hello\n");
        co_await out.write("world");
        co_await out.sync();
        const auto size = co_await out.size();
        EXPECT_EQ(size, 11U);
        co_await out.close();
        EXPECT_FALSE(out.is_open());
        file in = co_await open_file(where / "a");
        const std::string first = co_await in.read(3);
        EXPECT_EQ(first, "hel");
        const std::string rest = co_await in.read_all();
        EXPECT_EQ(rest, "lo\nworld");
        const std::string end = co_await in.read(10);
        EXPECT_EQ(end, "");
    };
    run(main());
    EXPECT_EQ(content_of(where / "a"), "hello\nworld");
}

TEST(file, modes_are_those_of_python) {
    const temporary_directory where;
    put(where / "old", "0123456789");
    auto main = [&]() -> coro<> {
        const std::string exists =
            co_await text_of_error<std::system_error>(open_file(where / "old", open_mode::create_new));
        EXPECT_EQ(exists, "open " + (where / "old") + ": File exists");
        const std::string missing =
            co_await text_of_error<std::system_error>(open_file(where / "new", open_mode::update));
        EXPECT_THAT(missing, HasSubstr("No such file or directory"));
        file added = co_await open_file(where / "old", open_mode::append);
        co_await added.seek(0);
        co_await added.write("a");
        file updated = co_await open_file(where / "old", open_mode::update);
        co_await updated.write("u");
        EXPECT_EQ(content_of(where / "old"), "u123456789a");
        const std::string unreadable = co_await text_of_error<std::system_error>(added.read(1));
        EXPECT_THAT(unreadable, HasSubstr("Bad file descriptor"));
        file emptied = co_await open_file(where / "old", open_mode::write);
        EXPECT_EQ(content_of(where / "old"), "");
        file created = co_await open_file(where / "new", open_mode::create_new, 0600);
        struct stat made {};
        EXPECT_EQ(::stat((where / "new").c_str(), &made), 0);
        EXPECT_EQ(made.st_mode & 0777U, 0600U);
    };
    run(main());
}

TEST(file, reads_lines_and_keeps_the_position_behind_each) {
    const temporary_directory where;
    const std::string longer(100'000, 'x');
    put(where / "lines", "one\n\n" + longer + "\nend");
    auto main = [&]() -> coro<> {
        file lines = co_await open_file(where / "lines", open_mode::update);
        std::vector<std::size_t> sizes;
        std::vector<std::uint64_t> positions;
        for (;;) {
            const std::string line = co_await lines.read_line();
            if (line.empty()) break;
            sizes.push_back(line.size());
            const auto position = co_await lines.tell();
            positions.push_back(position);
        }
        EXPECT_THAT(sizes, ElementsAre(4, 1, 100'001, 3));
        EXPECT_THAT(positions, ElementsAre(4, 5, 100'006, 100'009));
        co_await lines.seek(0);
        const std::string again = co_await lines.read_line();
        EXPECT_EQ(again, "one\n");
        const auto moved = co_await lines.seek(1, seek_from::position);
        EXPECT_EQ(moved, 5U);
        const auto at_end = co_await lines.seek(-3, seek_from::end);
        EXPECT_EQ(at_end, 100'006U);
        co_await lines.seek(0);
        const std::string first = co_await lines.read_line();
        co_await lines.write("!");
    };
    run(main());
    EXPECT_EQ(content_of(where / "lines").substr(0, 6), "one\n!x");
}

TEST(file, a_line_that_is_too_long_stays_in_the_file) {
    const temporary_directory where;
    std::string long_line(50'000, 'x');
    long_line += '\n';
    put(where / "long", long_line);
    auto main = [&]() -> coro<> {
        file lines = co_await open_file(where / "long");
        const std::string text = co_await text_of_error<limit_overrun_error>(lines.read_line(1000));
        EXPECT_THAT(text, HasSubstr("1000 bytes"));
        const auto position = co_await lines.tell();
        EXPECT_EQ(position, 0U);
        const std::string line = co_await lines.read_line();
        EXPECT_EQ(line.size(), 50'001U);
    };
    run(main());
}

TEST(file, reads_and_writes_at_offsets_side_by_side) {
    const temporary_directory where;
    auto main = [&]() -> coro<> {
        file both = co_await open_file(where / "a", open_mode::create_new);
        co_await both.close();
        file pieces = co_await open_file(where / "a", open_mode::update);
        auto piece = [&](std::uint64_t index) -> coro<> {
            const std::string data(1000, static_cast<char>('a' + index));
            co_await pieces.pwrite(data, index * 1000);
            std::array<char, 1000> back{};
            const std::size_t count = co_await pieces.pread(back, index * 1000);
            EXPECT_EQ(std::string(back.data(), count), data);
        };
        std::vector<coro<>> writes;
        for (std::uint64_t i = 0; i < 20; ++i) writes.push_back(piece(i));
        co_await gather(std::move(writes));
        const auto position = co_await pieces.tell();
        EXPECT_EQ(position, 0U);
        std::array<char, 10> beyond{};
        const std::size_t none = co_await pieces.pread(beyond, 20'000);
        EXPECT_EQ(none, 0U);
        co_await pieces.truncate(5);
        const auto size = co_await pieces.size();
        EXPECT_EQ(size, 5U);
    };
    run(main());
}

TEST(file, many_megabytes_go_through) {
    const temporary_directory where;
    std::string data(5'000'000, '\0');
    for (std::size_t i = 0; i < data.size(); ++i) data[i] = static_cast<char>(i * 7 + i / 251);
    auto main = [&]() -> coro<> {
        file out = co_await open_file(where / "big", open_mode::write);
        co_await out.write(data);
        file in = co_await open_file(where / "big");
        const std::string back = co_await in.read_all();
        EXPECT_TRUE(back == data);
    };
    run(main());
}

TEST(file, a_full_disk_is_an_error_that_names_the_file) {
    auto main = []() -> coro<> {
        file full = co_await open_file("/dev/full", open_mode::write);
        const std::string text = co_await text_of_error<std::system_error>(full.write("x"));
        EXPECT_EQ(text, "write /dev/full: No space left on device");
    };
    run(main());
}

TEST(file, a_directory_a_pipe_and_a_zero_byte_are_refused) {
    const temporary_directory where;
    ASSERT_EQ(::mkfifo((where / "pipe").c_str(), 0600), 0);
    const auto before = open_descriptors();
    auto main = [&]() -> coro<> {
        file directory = co_await open_file(where / "");
        const std::string text = co_await text_of_error<std::system_error>(directory.read(1));
        EXPECT_THAT(text, HasSubstr("Is a directory"));
        const std::string reading = co_await text_of_error<std::invalid_argument>(open_file(where / "pipe"));
        EXPECT_THAT(reading, HasSubstr("connect_read_pipe"));
        const std::string writing =
            co_await text_of_error<std::invalid_argument>(open_file(where / "pipe", open_mode::append));
        EXPECT_THAT(writing, HasSubstr("connect_read_pipe"));
        const std::string zero = co_await text_of_error<std::invalid_argument>(open_file(std::string("a\0b", 3)));
        EXPECT_THAT(zero, HasSubstr("zero byte"));
    };
    run(main());
    EXPECT_EQ(open_descriptors(), before);
}

TEST(file, without_descriptors_opening_fails_by_name_and_recovers) {
    if (is_under_address_sanitizer) GTEST_SKIP() << "UBSan's check of virtual tables opens a pipe of its own";
    const temporary_directory where;
    put(where / "a", "x");
    auto main = [&]() -> coro<> {
        {
            const few_descriptors none_left;
            const std::string text = co_await text_of_error<std::system_error>(open_file(where / "a"));
            EXPECT_EQ(text, "open " + (where / "a") + ": Too many open files");
        }
        file later = co_await open_file(where / "a");
        const std::string data = co_await later.read_all();
        EXPECT_EQ(data, "x");
    };
    run(main());
}

TEST(file, the_position_belongs_to_one_coroutine_and_a_closed_file_to_none) {
    const temporary_directory where;
    put(where / "a", "hello");
    auto main = [&]() -> coro<> {
        file shared = co_await open_file(where / "a");
        closed_gate gate;
        co_await gate.close();
        auto read = [&]() -> coro<std::string> { co_return co_await shared.read(5); };
        task<std::string> first = create_task(read());
        co_await sleep(0s);
        const std::string busy = co_await text_of_error<invalid_state_error>(shared.read(1));
        EXPECT_THAT(busy, HasSubstr("another coroutine"));
        const std::string in_use = co_await text_of_error<invalid_state_error>(shared.close());
        EXPECT_THAT(in_use, HasSubstr("under way"));
        gate.open();
        const std::string data = co_await first;
        EXPECT_EQ(data, "hello");
        co_await gate.wait();
        co_await shared.close();
        co_await shared.close();
        const std::string closed = co_await text_of_error<invalid_state_error>(shared.read(1));
        EXPECT_EQ(closed, "read " + (where / "a") + ": it is closed");
    };
    run(main());
}

TEST(file, a_read_that_is_cancelled_before_its_turn_leaves_the_position) {
    const temporary_directory where;
    put(where / "a", "hello world");
    auto main = [&]() -> coro<> {
        file in = co_await open_file(where / "a");
        closed_gate gate;
        co_await gate.close();
        auto read = [&]() -> coro<std::string> { co_return co_await in.read(5); };
        task<std::string> waiting = create_task(read());
        co_await sleep(0s);
        waiting.cancel();
        auto join = [&]() -> coro<> { co_await waiting; };
        const std::string end = co_await text_of_error<cancelled_error>(join());
        EXPECT_NE(end, "no error");
        gate.open();
        co_await gate.wait();
        const std::string data = co_await in.read_all();
        EXPECT_EQ(data, "hello world");
    };
    run(main());
}

TEST(file, a_read_that_is_cancelled_between_two_steps_gives_back_the_first) {
    const temporary_directory where;
    put(where / "a", std::string(100'000, 'x'));
    auto main = [&]() -> coro<> {
        file in = co_await open_file(where / "a");
        auto read = [&]() -> coro<std::string> { co_return co_await in.read_all(); };
        task<std::string> reading = create_task(read());
        closed_gate gate;
        co_await sleep(0s);     // the first step is with its thread
        co_await gate.close();  // the last thread was free only when that step was over
        reading.cancel();
        gate.open();
        std::size_t taken = 0;
        try {
            const std::string data = co_await reading;
            taken = data.size();
        } catch (const cancelled_error&) {
        }
        co_await gate.wait();
        const std::string rest = co_await in.read_all();
        EXPECT_EQ(taken + rest.size(), 100'000U);
        EXPECT_EQ(taken, 0U);
    };
    run(main());
}

TEST(file, signals_that_interrupt_calls_are_no_errors) {
    const temporary_directory where;
    struct sigaction count {};
    struct sigaction usual {};
    count.sa_handler = [](int) {};
    ASSERT_EQ(::sigaction(SIGALRM, &count, &usual), 0);  // without SA_RESTART
    const itimerval often{{0, 200}, {0, 200}};
    ASSERT_EQ(::setitimer(ITIMER_REAL, &often, nullptr), 0);
    auto main = [&]() -> coro<> {
        const std::string data(200'000, 'x');
        for (int i = 0; i < 20; ++i) {
            file out = co_await open_file(where / "a", open_mode::write);
            co_await out.write(data);
            co_await out.sync();
            co_await out.close();
            file in = co_await open_file(where / "a");
            const std::string back = co_await in.read_all();
            EXPECT_EQ(back.size(), data.size());
        }
    };
    run(main());
    const itimerval never{};
    ::setitimer(ITIMER_REAL, &never, nullptr);
    ::sigaction(SIGALRM, &usual, nullptr);
}
