#include <tercet/asyncio.hpp>

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <string>

#include "asyncio/temporary_directory.hpp"

using namespace std::chrono_literals;
using namespace tercet::asyncio;
using tercet::invalid_state_error;
using testing::HasSubstr;

namespace {

class event_descriptor {
public:
    event_descriptor() : descriptor_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}
    event_descriptor(const event_descriptor&) = delete;
    event_descriptor& operator=(const event_descriptor&) = delete;
    ~event_descriptor() { ::close(descriptor_); }
    int get() const noexcept { return descriptor_; }
    void set() const { EXPECT_EQ(::eventfd_write(descriptor_, 1), 0); }
    void clear() const {
        eventfd_t value = 0;
        EXPECT_EQ(::eventfd_read(descriptor_, &value), 0);
    }

private:
    int descriptor_;
};

coro<> wait_readable(int descriptor) { co_await readable(descriptor); }
coro<> wait_writable(int descriptor) { co_await writable(descriptor); }

template <class Error>
coro<std::string> text_of_error(int descriptor) {
    try {
        co_await readable(descriptor);
    } catch (const Error& error) {
        co_return error.what();
    }
    co_return "no error";
}

}  // namespace

TEST(descriptor_wait, is_over_when_the_descriptor_is_ready) {
    auto main = []() -> coro<> {
        const event_descriptor source;
        for (int i = 0; i < 3; ++i) {
            get_running_loop().call_later(1ms, [&] { source.set(); });
            co_await readable(source.get());
            source.clear();
        }
        co_await writable(source.get());
    };
    run(main());
}

TEST(descriptor_wait, reading_and_writing_do_not_get_in_each_others_way) {
    auto main = []() -> coro<> {
        const event_descriptor source;
        task<> reading = create_task(wait_readable(source.get()), {.eager_start = true});
        co_await writable(source.get());
        EXPECT_FALSE(reading.done());
        source.set();
        co_await reading;
    };
    run(main());
}

TEST(descriptor_wait, a_peer_that_writes_no_more_does_not_make_room) {
    auto main = []() -> coro<> {
        const event_descriptor source;
        std::array<int, 2> ends{};
        EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends.data()), 0);
        ::shutdown(ends[1], SHUT_WR);
        std::string block(64 << 10, 'x');
        for (int i = 0; i < 2; ++i) {
            while (::send(ends[0], block.data(), block.size(), MSG_NOSIGNAL) > 0) {
            }
            EXPECT_EQ(errno, EAGAIN);
            task<> writing = create_task(wait_writable(ends[0]), {.eager_start = true});
            for (int turn = 0; turn < 3; ++turn) {  // of the poller, which has seen what there is
                source.set();
                co_await readable(source.get());
                source.clear();
            }
            EXPECT_FALSE(writing.done());
            while (::recv(ends[1], block.data(), block.size(), 0) > 0) {
            }
            co_await writing;
        }
        int calls = 0;  // while it is ready, again and again
        event enough;
        get_running_loop().add_writer(ends[0], [&] {
            if (++calls == 3) enough.set();
        });
        co_await enough.wait();
        get_running_loop().remove_writer(ends[0]);
        for (const int each : ends) ::close(each);
    };
    run(main());
}

TEST(descriptor_wait, sees_the_other_side_go) {
    auto main = []() -> coro<> {
        std::array<int, 2> ends{};
        EXPECT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
        task<> reading = create_task(wait_readable(ends[0]), {.eager_start = true});
        ::close(ends[1]);
        co_await reading;
        ::close(ends[0]);
    };
    run(main());
}

TEST(descriptor_wait, refuses_files_bad_descriptors_and_a_second_wait) {
    const temporary_directory where;
    auto main = [&]() -> coro<> {
        const int file = ::open((where / "a").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        const std::string of_file = co_await text_of_error<std::system_error>(file);
        EXPECT_THAT(of_file, HasSubstr("Operation not permitted"));
        ::close(file);
        const std::string of_none = co_await text_of_error<std::system_error>(9999);
        EXPECT_EQ(of_none, "watch descriptor 9999: Bad file descriptor");

        const event_descriptor source;
        task<> first = create_task(wait_readable(source.get()), {.eager_start = true});
        const std::string second = co_await text_of_error<invalid_state_error>(source.get());
        EXPECT_THAT(second, HasSubstr("somebody else waits"));
        event_loop& loop = get_running_loop();
        EXPECT_THROW(loop.add_reader(source.get(), [] {}), invalid_state_error);
        EXPECT_FALSE(loop.remove_reader(source.get()));
        source.set();
        co_await first;
        loop.add_reader(source.get(), [] {});
        const std::string beside_reader = co_await text_of_error<invalid_state_error>(source.get());
        EXPECT_THAT(beside_reader, HasSubstr("somebody else waits"));
        EXPECT_TRUE(loop.remove_reader(source.get()));
    };
    run(main());
}

TEST(descriptor_wait, cancelled_leaves_the_descriptor_to_others) {
    auto main = []() -> coro<> {
        const event_descriptor source;
        task<> cancelled = create_task(wait_readable(source.get()), {.eager_start = true});
        cancelled.cancel();
        source.set();
        co_await readable(source.get());
        EXPECT_TRUE(cancelled.cancelled());
    };
    run(main());
}
