// context_var: values that belong to a task: what a request sets is seen by everything that it starts, on threads too,
// and by nobody else.

#include <tercet/asyncio.hpp>

#include <cstdio>
#include <string>

using namespace tercet::asyncio;

namespace {

const context_var<std::string> request_id("request_id", "none");

void log(const char* what) { std::printf("[%s] %s\n", request_id.get().c_str(), what); }

void query() { log("query, on a thread"); }

coro<> handle(std::string id) {
    request_id.set(std::move(id));
    log("begin");
    co_await to_thread(&query);
    log("end");
}

coro<> main_coroutine() {
    co_await create_task(handle("a1"));
    co_await create_task(handle("b2"));
    log("main");
}

}  // namespace

int main() { run(main_coroutine()); }
