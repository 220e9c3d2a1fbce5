// File descriptors that travel beside the bytes of a message.

#include <tercet/multiprocessing.hpp>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <iterator>
#include <string>
#include <system_error>
#include <vector>

namespace tercet::multiprocessing {
namespace {

/// Text in a file without a name.
class note {
public:
    note() = default;
    explicit note(const std::string& text) : file_(::memfd_create("note", MFD_CLOEXEC)) {
        if (::write(file_.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size())) file_.reset();
    }
    explicit note(int fd) : file_(fd) {}
    std::string text() const {
        std::string read(64, '\0');
        const ssize_t count = ::pread(file_.get(), read.data(), read.size(), 0);
        read.resize(count < 0 ? 0 : static_cast<std::size_t>(count));
        return read;
    }
    int fd() const { return file_.get(); }

    template <class Archive>
    void serialize(Archive& archive) {
        if constexpr (Archive::is_saving)
            archive.write_descriptor(file_.get());
        else
            file_ = archive.read_descriptor();
    }

private:
    unique_fd file_;
};

std::string read_all(const std::vector<note>& notes) {
    std::string all;
    for (const auto& each : notes) all += each.text();
    return all;
}

std::size_t open_descriptors() {
    const std::filesystem::directory_iterator here("/proc/self/fd");
    return static_cast<std::size_t>(std::distance(begin(here), end(here)));
}

std::vector<note> many_notes(std::size_t count) {
    std::vector<note> notes;
    for (std::size_t i = 0; i < count; ++i) notes.emplace_back(std::to_string(i % 10));
    return notes;
}

TEST(descriptors, go_to_a_worker_and_come_back_as_the_same_file) {
    process_pool_executor pool(1);
    const note sent("hello");
    EXPECT_EQ(pool.submit([](const note& received) { return received.text(); }, sent).result(), "hello");
    const note answer = pool.submit(
                                [](note received) {
                                    EXPECT_EQ(::pwrite(received.fd(), "j", 1, 0), 1);
                                    return received;
                                },
                                sent)
                            .result();
    EXPECT_EQ(answer.text(), "jello");
    EXPECT_NE(answer.fd(), sent.fd());
}

TEST(descriptors, keep_their_order_and_are_as_many_as_the_kernel_takes) {
    process_pool_executor pool(1);
    EXPECT_EQ(pool.submit(read_all, many_notes(max_descriptors)).result().substr(0, 12), "012345678901");
    auto too_many = pool.submit(read_all, many_notes(max_descriptors + 1));
    EXPECT_THROW(too_many.result(), std::length_error);
}

TEST(descriptors, above_255_arrive_too) {
    process_pool_executor pool(1);
    const note high(::fcntl(note("high").fd(), F_DUPFD_CLOEXEC, 700));
    ASSERT_GE(high.fd(), 700);
    EXPECT_EQ(pool.submit([](const note& received) { return received.text(); }, high).result(), "high");
}

TEST(descriptors, that_are_not_open_fail_the_future_and_name_the_number) {
    process_pool_executor pool(1);
    auto refused = pool.submit([](const note& received) { return received.text(); }, note());
    try {
        refused.result();
        FAIL();
    } catch (const std::system_error& e) {
        EXPECT_EQ(e.code().value(), EBADF);
        EXPECT_NE(std::string(e.what()).find("file descriptor -1"), std::string::npos) << e.what();
    }
}

TEST(descriptors, that_are_missing_from_a_message_fail_its_reading) {
    encoder out;
    note sent("lost");
    encode(out, sent);
    decoder in(out.buffer().bytes());
    EXPECT_THROW(decode<note>(in), decode_error);
}

TEST(descriptors, that_a_worker_has_no_room_for_fail_that_call_alone) {
    process_pool_executor pool(1);
    pool.submit([] {
            const rlimit few{16, 16};
            ::setrlimit(RLIMIT_NOFILE, &few);
        })
        .result();
    auto refused = pool.submit(read_all, many_notes(30));
    EXPECT_THROW(refused.result(), decode_error);
    EXPECT_EQ(pool.submit(read_all, many_notes(3)).result(), "012");
}

TEST(descriptors, are_closed_on_both_sides_when_a_call_is_over) {
    process_pool_executor pool(1);
    const auto in_worker_before = pool.submit(open_descriptors).result();
    const auto before = open_descriptors();
    for (int i = 0; i < 20; ++i) {
        pool.submit([](note received) { return received; }, note("a")).result();
        auto thrown = pool.submit([](const note& received) { throw std::runtime_error(received.text()); }, note("b"));
        EXPECT_THROW(thrown.result(), std::runtime_error);
    }
    EXPECT_EQ(open_descriptors(), before);
    EXPECT_EQ(pool.submit(open_descriptors).result(), in_worker_before);
}

TEST(descriptors, of_a_call_whose_worker_died_are_sent_again_by_a_retry) {
    process_pool_executor pool(1);
    auto retried = pool.submit(
        {.retries = 1},
        [](const note& received) {
            if (received.text() == "first") {
                [[maybe_unused]] const auto written = ::pwrite(received.fd(), "again", 5, 0);
                ::raise(SIGKILL);
            }
            return received.text();
        },
        note("first"));
    EXPECT_EQ(retried.result(), "again");
}

}  // namespace
}  // namespace tercet::multiprocessing
