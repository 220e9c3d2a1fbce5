// bounded_fetch: twelve requests at once, of which a semaphore lets three through to the server at a time.
#include <tercet/asyncio.hpp>

#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>

using namespace std::chrono_literals;
using namespace tercet::asyncio;

/// A server in this program, so that it needs no network: it answers a line with its length, and counts how many
/// requests it has at once.
class slow_server {
public:
    coro<> answer(stream_reader reader, stream_writer writer) {
        most_ = std::max(most_, ++running_);
        const std::string line = co_await reader.read_line();
        co_await sleep(20ms);
        --running_;
        writer.write(std::to_string(line.size() - 1) + "\n");
        co_await writer.drain();
    }
    int most_at_once() const { return most_; }

private:
    int running_ = 0;
    int most_ = 0;
};

coro<std::string> fetch(semaphore& slots, std::uint16_t port, std::string text) {
    const auto slot = co_await slots.scoped();  // given back when this function ends, however it ends
    auto [reader, writer] = co_await open_connection("127.0.0.1", port);
    writer.write(text + "\n");
    co_await writer.drain();
    const std::string answer = co_await reader.read_line();
    co_return text + ": " + answer;
}

coro<int> fetch_all() {
    slow_server behind;
    auto handler = [&behind](stream_reader reader, stream_writer writer) {
        return behind.answer(std::move(reader), std::move(writer));
    };
    auto server = co_await start_server(handler, "127.0.0.1", 0);
    semaphore slots(3);
    std::vector<coro<std::string>> calls;
    for (std::size_t i = 1; i <= 12; ++i) calls.push_back(fetch(slots, server.port(), std::string(i, 'x')));
    const auto answers = co_await gather(std::move(calls));
    for (const auto& each : answers) std::fputs(each.c_str(), stdout);
    std::printf("at most %d at once\n", behind.most_at_once());
    server.close();
    co_await server.wait_closed();
    co_return behind.most_at_once() == 3 ? 0 : 1;
}

int main() try { return run(fetch_all()); } catch (const std::exception& error) {
    std::fprintf(stderr, "bounded_fetch: %s\n", error.what());
    return 1;
}
