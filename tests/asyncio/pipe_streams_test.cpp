#include <tercet/asyncio.hpp>

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <pty.h>
#include <sanitizers.hpp>
#include <signal.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <fstream>
#include <string>

#include "asyncio/few_descriptors.hpp"
#include "asyncio/open_descriptors.hpp"
#include "asyncio/temporary_directory.hpp"

using namespace std::chrono_literals;
using namespace tercet::asyncio;
using testing::HasSubstr;

namespace {

struct pipe_ends {
    pipe_ends() {
        std::array<int, 2> ends{};
        EXPECT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
        reading = ends[0];
        writing = ends[1];
    }
    int reading = -1;
    int writing = -1;
};

bool blocks(int descriptor) { return (::fcntl(descriptor, F_GETFL) & O_NONBLOCK) == 0; }

bool is_sigpipe_pending() {
    sigset_t pending;
    ::sigpending(&pending);
    return ::sigismember(&pending, SIGPIPE) == 1;
}

/// Makes another descriptor the standard input for a time.
class standard_input_from {
public:
    explicit standard_input_from(int descriptor) : kept_(::fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 10)) {
        ::dup2(descriptor, STDIN_FILENO);
        ::close(descriptor);
    }
    standard_input_from(const standard_input_from&) = delete;
    standard_input_from& operator=(const standard_input_from&) = delete;
    ~standard_input_from() {
        ::dup2(kept_, STDIN_FILENO);
        ::close(kept_);
    }

private:
    int kept_;
};

}  // namespace

TEST(pipe_streams, carry_what_is_written_to_the_reader) {
    const auto before = open_descriptors();
    auto main = []() -> coro<> {
        const pipe_ends ends;
        stream_reader reader = connect_read_pipe(ends.reading);
        stream_writer writer = connect_write_pipe(ends.writing);
        const std::string block(1'000'000, 'x');
        auto write = [&]() -> coro<> {
            writer.write("first\n");
            writer.write(block);
            co_await writer.drain();
            writer.write_eof();
        };
        task<> writing = create_task(write());
        const std::string line = co_await reader.read_line();
        EXPECT_EQ(line, "first\n");
        const std::string rest = co_await reader.read();
        EXPECT_TRUE(rest == block);
        EXPECT_TRUE(reader.at_eof());
        co_await writing;
        co_await writer.wait_closed();
        EXPECT_TRUE(writer.is_closing());
    };
    run(main());
    EXPECT_EQ(open_descriptors(), before);
}

TEST(pipe_streams, a_reader_that_is_gone_is_a_broken_pipe_and_no_signal) {
    const auto usual = ::signal(SIGPIPE, SIG_DFL);
    auto main = []() -> coro<> {
        const pipe_ends ends;
        stream_writer writer = connect_write_pipe(ends.writing);
        ::close(ends.reading);
        writer.write("x");
        EXPECT_FALSE(is_sigpipe_pending());
        try {
            co_await writer.drain();
            ADD_FAILURE();
        } catch (const std::system_error& error) {
            EXPECT_EQ(error.what(), "write pipe " + std::to_string(ends.writing) + ": Broken pipe");
        }
    };
    run(main());
    ::signal(SIGPIPE, usual);
}

TEST(pipe_streams, leave_a_sigpipe_that_was_pending) {
    sigset_t pipe_signal;
    sigset_t usual;
    ::sigemptyset(&pipe_signal);
    ::sigaddset(&pipe_signal, SIGPIPE);
    ::pthread_sigmask(SIG_BLOCK, &pipe_signal, &usual);
    ::raise(SIGPIPE);
    auto main = []() -> coro<> {
        const pipe_ends ends;
        ::close(ends.reading);
        stream_writer writer = connect_write_pipe(ends.writing);
        writer.write("x");
        EXPECT_TRUE(is_sigpipe_pending());
        co_return;
    };
    run(main());
    const timespec at_once{};
    ::sigtimedwait(&pipe_signal, nullptr, &at_once);
    ::pthread_sigmask(SIG_SETMASK, &usual, nullptr);
}

TEST(pipe_streams, put_the_descriptor_back_to_blocking_at_the_end) {
    const pipe_ends ends;
    const int same_open_file = ::dup(ends.reading);
    auto main = [&]() -> coro<> {
        stream_reader reader = connect_read_pipe(ends.reading);
        EXPECT_FALSE(blocks(same_open_file));
        co_return;
    };
    run(main());
    EXPECT_TRUE(blocks(same_open_file));
    auto left = [&]() -> coro<stream_reader> { co_return connect_read_pipe(::dup(same_open_file)); };
    {
        const stream_reader outlives = run(left());
        EXPECT_TRUE(blocks(same_open_file));  // already by the end of the loop
    }
    ::close(same_open_file);
    ::close(ends.writing);
}

TEST(pipe_streams, read_a_terminal_line_by_line) {
    int ours = -1;
    int terminal = -1;
    ASSERT_EQ(::openpty(&ours, &terminal, nullptr, nullptr, nullptr), 0);
    auto main = [&]() -> coro<> {
        stream_reader reader = connect_read_pipe(terminal);
        const std::string two_lines = "one\ntwo\n";
        EXPECT_EQ(::write(ours, two_lines.data(), two_lines.size()), 8);
        const std::string first = co_await reader.read_line();
        EXPECT_EQ(first, "one\n");
        const std::string second = co_await reader.read_line();
        EXPECT_EQ(second, "two\n");
    };
    run(main());
    ::close(ours);
}

TEST(pipe_streams, read_files_and_the_null_device_as_well) {
    const temporary_directory where;
    std::ofstream(where / "a") << "from a file";
    auto main = [&]() -> coro<> {
        stream_reader of_file = connect_read_pipe(::open((where / "a").c_str(), O_RDONLY | O_CLOEXEC));
        const std::string content = co_await of_file.read();
        EXPECT_EQ(content, "from a file");
        stream_reader of_null = connect_read_pipe(::open("/dev/null", O_RDONLY | O_CLOEXEC));
        const std::string nothing = co_await of_null.read();
        EXPECT_EQ(nothing, "");
        stream_writer to_null = connect_write_pipe(::open("/dev/null", O_WRONLY | O_CLOEXEC));
        to_null.write(std::string(1'000'000, 'x'));
        co_await to_null.drain();
        to_null.close();
        co_await to_null.wait_closed();
    };
    run(main());
}

TEST(pipe_streams, refuse_what_is_no_descriptor_and_leak_nothing) {
    auto main = []() -> coro<> {
        try {
            connect_read_pipe(9999);
            ADD_FAILURE();
        } catch (const std::system_error& error) {
            EXPECT_STREQ(error.what(), "connect_read_pipe 9999: Bad file descriptor");
        }
        EXPECT_THROW(connect_write_pipe(-1), std::system_error);
        co_return;
    };
    run(main());
    const auto before = open_descriptors();
    const pipe_ends ends;
    EXPECT_THROW(connect_read_pipe(ends.reading), tercet::invalid_state_error);
    EXPECT_THROW(connect_write_pipe(ends.writing), tercet::invalid_state_error);
    EXPECT_EQ(open_descriptors(), before);
}

TEST(open_standard_input, reads_lines_and_leaves_the_standard_input_open) {
    const pipe_ends ends;
    const standard_input_from pipe(ends.reading);
    auto main = [&]() -> coro<> {
        {
            stream_reader input = open_standard_input();
            EXPECT_EQ(::write(ends.writing, "a\nb", 3), 3);
            const std::string line = co_await input.read_line();
            EXPECT_EQ(line, "a\n");
            ::close(ends.writing);
            const std::string rest = co_await input.read();
            EXPECT_EQ(rest, "b");
        }
        EXPECT_TRUE(blocks(STDIN_FILENO));
        if (is_under_address_sanitizer) co_return;  // UBSan's check of virtual tables opens a pipe of its own
        const few_descriptors none;
        try {
            open_standard_input();
            ADD_FAILURE();
        } catch (const std::system_error& error) {
            EXPECT_STREQ(error.what(), "open_standard_input: Too many open files");
        }
    };
    run(main());
}
