// Each allocation of a small program fails in turn: it ends with std::bad_alloc, or does what it was to do, and the
// next run works.

#include <tercet/asyncio.hpp>

#include <gtest/gtest.h>
#include <unistd.h>

#include <stdexcept>
#include <string>
#include <thread>

#include "asyncio/certificates.hpp"
#include "asyncio/stream_pair.hpp"
#include "asyncio/temporary_directory.hpp"
#include "asyncio/tls_sides.hpp"
#include "failing_memory.hpp"

using namespace std::chrono_literals;
using namespace tercet::asyncio;
using failing_memory::require;

namespace {

coro<> talk(connection& peer) {
    const std::string data(100'000, 'x');
    peer.writer.write(data);
    co_await peer.writer.drain();
    const std::string same = co_await peer.reader.read_exactly(data.size());
    require(same == data, "not what was sent");
    peer.writer.write("line\n");
    const std::string line = co_await peer.reader.read_line();
    require(line == "line\n", "not the line that was sent");
    peer.writer.write_eof();
    const std::string rest = co_await peer.reader.read();
    require(rest.empty(), "more than was sent");
    peer.writer.close();
    co_await peer.writer.wait_closed();
}

coro<int> double_of(int value) {
    co_await sleep(1us);
    co_return 2 * value;
}

}  // namespace

TEST(no_memory, a_connection_and_its_server) {
    auto main = []() -> coro<> {
        const server listening = co_await start_server(&echo, "127.0.0.1", 0);
        connection peer = co_await open_connection("127.0.0.1", listening.port());
        co_await timeout(10s, talk(peer));
    };
    failing_memory::at_each_allocation([&] { run(main()); });
}

TEST(no_memory, a_connection_with_tls) {
    const both_sides sides;
    auto main = [&]() -> coro<> {
        const server listening = co_await start_server(&echo, "127.0.0.1", 0, {.tls = &sides.server});
        connection peer = co_await open_connection("localhost", listening.port(), {.tls = &sides.client});
        co_await timeout(10s, talk(peer));
    };
    failing_memory::at_each_allocation([&] { run(main()); });
}

TEST(no_memory, datagrams) {
    auto main = []() -> coro<> {
        const datagram_socket server = co_await bind_datagram("127.0.0.1", 0);
        const datagram_socket client = co_await connect_datagram("127.0.0.1", server.local_address().port());
        co_await client.send("ping");
        const datagram got = co_await server.receive_from();
        require(got.data == "ping", "not what was sent");
    };
    failing_memory::at_each_allocation([&] { run(main()); });
}

TEST(no_memory, tasks_groups_queues_and_time_limits) {
    auto main = []() -> coro<> {
        auto [first, second] = co_await gather(double_of(1), double_of(2));
        require(first == 2 && second == 4, "wrong results");
        queue<int> items(2);
        int sum = 0;
        auto feed = [&]() -> coro<> {
            for (int i = 0; i < 5; ++i) co_await items.put(i);
            items.shutdown();
        };
        auto eat = [&]() -> coro<> {
            for (;;) {
                const auto item = co_await items.next();
                if (!item) co_return;
                sum += *item;
            }
        };
        auto body = [&](task_group& group) -> coro<> {
            group.create_task(feed());
            group.create_task(eat());
            co_return;
        };
        co_await with_task_group(body);
        require(sum == 10, "a wrong sum");
        event never;
        auto wait = [&]() -> coro<> { co_await never.wait(); };
        bool is_over = false;
        try {
            co_await timeout(1ms, wait());
        } catch (const tercet::timeout_error&) {
            is_over = true;
        }
        require(is_over, "the time limit was not kept");
    };
    failing_memory::at_each_allocation([&] { run(main()); });
}

TEST(no_memory, subprocesses) {
    auto main = []() -> coro<> {
        subprocess child = create_subprocess_exec("cat", {}, {.stdin_ = stdio::pipe, .stdout_ = stdio::pipe});
        const std::string data(100'000, 'x');
        const subprocess_output output = co_await child.communicate(data);
        require(output.stdout_ == data && child.returncode() == 0, "not what was sent");
    };
    failing_memory::at_each_allocation([&] { run(main()); });
}

TEST(no_memory, files_threads_and_names) {
    const temporary_directory folder;
    const std::string path = folder / "file";
    const std::string text = "first line\nsecond line\n";
    auto main = [&]() -> coro<> {
        {
            file written = co_await open_file(path, open_mode::write);
            co_await written.write(text);
            co_await written.close();
        }
        file again = co_await open_file(path);
        const std::string line = co_await again.read_line();
        require(line == "first line\n", "not the line that was written");
        co_await again.close();
        auto work = [] { return 7; };
        const int seven = co_await to_thread(work);
        require(seven == 7, "a wrong result");
        const auto addresses = co_await resolve("localhost", 80);
        require(!addresses.empty(), "no address");
    };
    failing_memory::at_each_allocation([&] { run(main()); });
}

TEST(no_memory, calls_of_other_threads) {
    auto main = []() -> coro<> {
        event_loop& loop = get_running_loop();
        thread_queue<int> items(3);
        std::exception_ptr error;
        auto ask = [&] {
            try {
                auto answer = run_coroutine_threadsafe(double_of(21), loop);
                items.put(answer.result());
            } catch (...) {
                error = std::current_exception();
            }
            items.shutdown();
        };
        std::jthread asking(ask);
        std::optional<int> got = co_await items.next_async();
        if (!got) {
            asking.join();
            std::rethrow_exception(error);
        }
        require(*got == 42, "a wrong result");
    };
    failing_memory::at_each_allocation([&] { run(main()); });
}
