#include <tercet/asyncio.hpp>

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <string>
#include <system_error>

#include "asyncio/tls_sides.hpp"
#include "temporary_folder.hpp"

using namespace std::chrono_literals;
using namespace tercet::asyncio;
using testing::HasSubstr;

TEST(tls, closing_cuts_a_file_off_that_is_being_sent) {
    const both_sides tls;
    const temporary_folder folder;
    std::ofstream(folder.path_of("file"), std::ios::binary) << std::string(16 << 20, 'x');
    const int file = ::open(folder.path_of("file").c_str(), O_RDONLY | O_CLOEXEC);
    auto main = [&]() -> coro<> {
        int error = 0;
        event cut_off;
        auto send = [&](stream_reader, stream_writer writer) -> coro<> {
            auto send_file = [&]() -> coro<> { co_await sendfile(writer, file); };
            task<> sending = create_task(send_file());
            while (writer.write_buffer_size() <= (64U << 10)) co_await sleep(0s);
            writer.close();
            try {
                co_await sending;
            } catch (const std::system_error& cut) {
                EXPECT_THAT(cut.what(), HasSubstr("sendfile "));
                error = cut.code().value();
            }
            cut_off.set();
        };
        server sender = co_await start_server(send, "127.0.0.1", 0, {.tls = &tls.server});
        connection peer = co_await open_connection("127.0.0.1", sender.port(), {.tls = &tls.client});
        co_await cut_off.wait();
        EXPECT_EQ(error, ECONNABORTED);
        peer.writer.abort();
    };
    run(main());
    ::close(file);
}
