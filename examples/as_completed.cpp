// as_completed: the results of several tasks as they come, those that are ready within a limit, and the first of all.

#include <tercet/asyncio.hpp>

#include <chrono>
#include <cstdio>
#include <string>
#include <vector>

using namespace std::chrono_literals;
using namespace tercet::asyncio;
using tercet::return_when;

namespace {

coro<std::string> fetch(std::string name, std::chrono::milliseconds delay) {
    co_await sleep(delay);
    co_return name;
}

std::vector<task<std::string>> fetch_all() {
    std::vector<task<std::string>> pages;
    pages.push_back(create_task(fetch("slow", 60ms)));
    pages.push_back(create_task(fetch("quick", 1ms)));
    pages.push_back(create_task(fetch("usual", 20ms)));
    return pages;
}

coro<> main_coroutine() {
    auto completions = as_completed(fetch_all());
    while (auto page = co_await completions.next()) std::puts(page->result().c_str());

    auto some = as_completed(fetch_all(), 40ms);
    try {
        while (auto page = co_await some.next()) std::puts(page->result().c_str());
    } catch (const tercet::timeout_error& late) {
        std::puts(late.what());
    }

    auto [done, not_done] = co_await wait(fetch_all(), {.return_when = return_when::first_completed});
    std::printf("first: %s, %zu others\n", done.front().result().c_str(), not_done.size());
    for (const auto& each : not_done) each.cancel();
}

}  // namespace

int main() { run(main_coroutine()); }
