#include <tercet/asyncio.hpp>

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <fstream>
#include <string>
#include <system_error>

#include "asyncio/stream_pair.hpp"
#include "temporary_folder.hpp"

using namespace std::chrono_literals;
using namespace tercet::asyncio;
using testing::AnyOf;
using testing::HasSubstr;

namespace {

/// A file with known bytes, open.
class known_file {
public:
    explicit known_file(std::size_t size) {
        for (int i = 0; content_.size() < size; ++i) content_ += std::to_string(i) + ' ';
        content_.resize(size);
        std::ofstream(folder_.path_of("file"), std::ios::binary) << content_;
        descriptor_ = ::open(folder_.path_of("file").c_str(), O_RDONLY | O_CLOEXEC);
    }
    known_file(const known_file&) = delete;
    known_file& operator=(const known_file&) = delete;
    ~known_file() { ::close(descriptor_); }
    int get() const noexcept { return descriptor_; }
    const std::string& content() const noexcept { return content_; }

private:
    temporary_folder folder_;
    std::string content_;
    int descriptor_ = -1;
};

/// The error number with which sending ends.
coro<int> error_of(coro<std::uint64_t> sending) {
    try {
        co_await std::move(sending);
    } catch (const std::system_error& error) {
        EXPECT_THAT(error.what(), HasSubstr("sendfile "));
        co_return error.code().value();
    }
    co_return 0;
}

}  // namespace

TEST(sendfile, sends_a_file_behind_what_was_written_and_before_what_comes_after) {
    const known_file file(5U << 20);
    auto main = [&]() -> coro<> {
        stream_pair both = stream_pair::make();
        const std::string before(1U << 20, 'b');
        auto send = [&]() -> coro<std::uint64_t> {
            both.writer.write(before);
            const std::uint64_t sent = co_await sendfile(both.writer, file.get());
            both.writer.write("after");
            both.writer.write_eof();
            co_return sent;
        };
        auto [sent, received] = co_await gather(send(), both.reader.read());
        EXPECT_EQ(sent, file.content().size());
        EXPECT_TRUE(received == before + file.content() + "after");
    };
    run(main());
}

TEST(sendfile, sends_a_part_and_what_there_is_of_one_that_is_too_long) {
    const known_file file(1000);
    auto main = [&]() -> coro<> {
        stream_pair both = stream_pair::make();
        const std::uint64_t part = co_await sendfile(both.writer, file.get(), 100, 50);
        EXPECT_EQ(part, 50U);
        const std::uint64_t rest = co_await sendfile(both.writer, file.get(), 990, 50);
        EXPECT_EQ(rest, 10U);
        const std::uint64_t nothing = co_await sendfile(both.writer, file.get(), 5000, 50);
        EXPECT_EQ(nothing, 0U);
        const std::uint64_t none = co_await sendfile(both.writer, file.get(), 0, 0);
        EXPECT_EQ(none, 0U);
        both.writer.write_eof();
        const std::string received = co_await both.reader.read();
        EXPECT_EQ(received, file.content().substr(100, 50) + file.content().substr(990));
    };
    run(main());
}

TEST(sendfile, a_pipe_is_copied_where_the_kernel_cannot) {
    auto main = []() -> coro<> {
        stream_pair both = stream_pair::make();
        std::array<int, 2> ends{};
        EXPECT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
        EXPECT_EQ(::write(ends[1], "from a pipe", 11), 11);
        ::close(ends[1]);
        const std::uint64_t sent = co_await sendfile(both.writer, ends[0]);
        EXPECT_EQ(sent, 11U);
        const std::string received = co_await both.reader.read_exactly(11);
        EXPECT_EQ(received, "from a pipe");
        ::close(ends[0]);
    };
    run(main());
}

TEST(sendfile, a_pipe_of_many_blocks_is_copied_whole) {
    auto main = []() -> coro<> {
        stream_pair both = stream_pair::make();
        std::array<int, 2> ends{};
        EXPECT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
        EXPECT_EQ(::fcntl(ends[1], F_SETPIPE_SZ, 1 << 20), 1 << 20);
        const std::string content(1 << 20, 'p');
        EXPECT_EQ(::write(ends[1], content.data(), content.size()), 1 << 20);
        ::close(ends[1]);
        auto send = [&]() -> coro<std::uint64_t> {
            const std::uint64_t sent = co_await sendfile(both.writer, ends[0]);
            both.writer.write_eof();
            co_return sent;
        };
        auto [sent, received] = co_await gather(send(), both.reader.read());
        EXPECT_EQ(sent, content.size());
        EXPECT_EQ(received, content);
        ::close(ends[0]);
    };
    run(main());
}

TEST(sendfile, a_peer_that_closes_in_the_middle_is_an_error_and_nothing_stays_paused) {
    const known_file file(8U << 20);
    struct sigaction before {};
    ::sigaction(SIGPIPE, nullptr, &before);
    EXPECT_EQ(before.sa_handler, SIG_DFL) << "a SIGPIPE would end this process";
    auto main = [&]() -> coro<> {
        stream_pair both = stream_pair::make();
        task<int> sending = create_task(error_of(sendfile(both.writer, file.get())));
        co_await both.reader.read_exactly(100'000);
        both.near_writer.abort();
        const int error = co_await sending;
        EXPECT_THAT(error, AnyOf(EPIPE, ECONNRESET));
        both.writer.write("goes nowhere");
        int of_drain = 0;
        try {
            co_await both.writer.drain();
        } catch (const std::system_error& lost) {
            of_drain = lost.code().value();
        }
        EXPECT_EQ(of_drain, error);
    };
    run(main());
}

TEST(sendfile, nobody_else_writes_meanwhile_and_closing_cuts_it_off) {
    const known_file file(8U << 20);
    auto main = [&]() -> coro<> {
        stream_pair both = stream_pair::make();
        task<int> sending = create_task(error_of(sendfile(both.writer, file.get())));
        co_await sleep(0s);
        EXPECT_THROW(both.writer.write("x"), tercet::invalid_state_error);
        EXPECT_THROW(both.writer.write_eof(), tercet::invalid_state_error);
        bool is_second_refused = false;
        try {
            co_await sendfile(both.writer, file.get());
        } catch (const tercet::invalid_state_error&) {
            is_second_refused = true;
        }
        EXPECT_TRUE(is_second_refused);
        both.writer.close();
        const int error = co_await sending;
        EXPECT_EQ(error, ECONNABORTED);
    };
    run(main());
}

TEST(sendfile, closing_cuts_a_copy_off_and_leaves_others_waiting_for_what_is_queued) {
    auto main = []() -> coro<> {
        stream_pair both = stream_pair::make();
        std::array<int, 2> ends{};
        EXPECT_EQ(::pipe2(ends.data(), O_CLOEXEC | O_NONBLOCK), 0);
        EXPECT_EQ(::fcntl(ends[1], F_SETPIPE_SZ, 1 << 20), 1 << 20);
        const std::string content(1 << 20, 'p');
        EXPECT_EQ(::write(ends[1], content.data(), content.size()), 1 << 20);
        both.writer.set_write_buffer_limits(0, 0);
        task<int> sending = create_task(error_of(sendfile(both.writer, ends[0])), {.eager_start = true});
        EXPECT_GT(both.writer.write_buffer_size(), 0U);  // the socket is full
        auto drain = [&]() -> coro<> { co_await both.writer.drain(); };
        task<> draining = create_task(drain(), {.eager_start = true});
        int left = 0;
        EXPECT_EQ(::ioctl(ends[0], FIONREAD, &left), 0);
        EXPECT_GT(left, 0);

        both.writer.close();
        const int error = co_await sending;
        EXPECT_EQ(error, ECONNABORTED);
        EXPECT_FALSE(draining.done());
        EXPECT_GT(both.writer.write_buffer_size(), 0U);
        int left_after = 0;
        EXPECT_EQ(::ioctl(ends[0], FIONREAD, &left_after), 0);
        EXPECT_EQ(left_after, left);  // nothing was taken that cannot go out
        const std::string received = co_await both.reader.read();
        EXPECT_EQ(received.size() + static_cast<std::size_t>(left), content.size());
        co_await draining;
        for (const int each : ends) ::close(each);
    };
    run(main());
}

TEST(sendfile, closing_while_what_was_written_before_goes_out_cuts_it_off) {
    const known_file file(1000);
    auto main = [&]() -> coro<> {
        event over;
        int error = 0;
        auto send = [&](stream_reader, stream_writer writer) -> coro<> {
            writer.write(std::string(16 << 20, 'a'));
            auto call = error_of(sendfile(writer, file.get()));
            task<int> sending = create_task(std::move(call));
            co_await sleep(0s);
            writer.close();
            error = co_await sending;
            over.set();
        };
        const server sender = co_await start_server(send, "127.0.0.1", 0);
        const connection peer = co_await open_connection("127.0.0.1", sender.port());
        const std::string got = co_await peer.reader.read();
        EXPECT_EQ(got.size(), std::size_t{16} << 20);
        co_await over.wait();
        EXPECT_NE(error, 0);
    };
    run(main());
}

TEST(sendfile, a_cancelled_one_lets_others_write) {
    const known_file file(8U << 20);
    auto main = [&]() -> coro<> {
        stream_pair both = stream_pair::make();
        bool is_late = false;
        try {
            co_await timeout(2ms, sendfile(both.writer, file.get()));
        } catch (const tercet::timeout_error&) {
            is_late = true;
        }
        EXPECT_TRUE(is_late);
        both.writer.write("end");
        both.writer.write_eof();
        const std::string received = co_await both.reader.read();
        EXPECT_TRUE(received.ends_with("end"));
        EXPECT_TRUE(file.content().starts_with(received.substr(0, received.size() - 3)));
    };
    run(main());
}

TEST(sendfile, a_descriptor_that_is_none_is_an_error_and_the_connection_stays) {
    auto main = []() -> coro<> {
        stream_pair both = stream_pair::make();
        const int error = co_await error_of(sendfile(both.writer, -1));
        EXPECT_EQ(error, EBADF);
        both.writer.write("still here");
        const std::string received = co_await both.reader.read_exactly(10);
        EXPECT_EQ(received, "still here");
    };
    run(main());
}
