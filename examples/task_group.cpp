// task_group: tasks that end together: a server that says when it is ready, clients of which two run at once, and a
// group that one failure ends.

#include <tercet/asyncio.hpp>

#include <chrono>
#include <cstdio>
#include <stdexcept>
#include <string>
#include <vector>

using namespace std::chrono_literals;
using namespace tercet::asyncio;

namespace {

coro<> serve(task_status<int> status, event& stop) {
    co_await sleep(10ms);  // it takes a while to open a port
    status.started(8080);
    co_await stop.wait();
    std::puts("server: stopped");
}

coro<std::string> ask(int port, int client) {
    co_await sleep(10ms);
    co_return "client " + std::to_string(client) + " on port " + std::to_string(port);
}

coro<> work() {
    event stop;
    auto body = [&stop](task_group& group) -> coro<> {
        const int port = co_await group.start<int>(serve, std::ref(stop));
        auto clients = [port](result_group<std::string>& asking) -> coro<> {
            for (int client = 1; client <= 3; ++client) asking.create_task(ask(port, client));
            co_return;
        };
        const std::vector<std::string> answers =
            co_await with_task_group<result_group<std::string>>(clients, {.limit = 2});
        for (const std::string& each : answers) std::puts(each.c_str());
        stop.set();
    };
    co_await with_task_group(body);
}

coro<> fail_after(std::chrono::milliseconds delay, std::string text) {
    co_await sleep(delay);
    throw std::runtime_error(text);
}

coro<> sleep_long() {
    try {
        co_await sleep(1h);
    } catch (const tercet::cancelled_error& error) {
        std::printf("sleeper: %s\n", error.what());
        throw;
    }
}

coro<> fail_together() {
    auto body = [](task_group& group) -> coro<> {
        group.create_task(sleep_long());
        group.create_task(fail_after(5ms, "no such page"));
        co_return;
    };
    try {
        co_await with_task_group(body, {.name = "pages"});
    } catch (const tercet::exception_group& failed) {
        std::puts(failed.what());
    }
}

coro<> main_coroutine() {
    co_await work();
    co_await fail_together();
}

}  // namespace

int main() { run(main_coroutine()); }
