// timeout: time limits, one that passes, one that is moved while the work goes on, and clean-up that a cancellation
// must not interrupt.

#include <tercet/asyncio.hpp>

#include <chrono>
#include <cstdio>

using namespace std::chrono_literals;
using namespace tercet::asyncio;

namespace {

coro<> sleep_long() { co_await sleep(1h); }

coro<> save() {
    co_await sleep(5ms);
    std::puts("saved");
}

coro<int> receive_all(deadline_scope& limit) {
    int received = 0;
    for (; received < 5; ++received) {
        co_await sleep(30ms);  // a message
        limit.reschedule(1s);  // as long as they come, there is time
    }
    co_return received;
}

coro<> edit() {
    try {
        co_await sleep(1h);
    } catch (const tercet::cancelled_error&) {
        std::puts("cancelled");
    }
    co_await shield(1s, save());
    co_await sleep(0s);  // still cancelled: throws
    std::puts("not reached");
}

coro<> main_coroutine() {
    try {
        co_await timeout(10ms, sleep_long());
    } catch (const tercet::timeout_error&) {
        std::puts("too slow");
    }

    const int received = co_await timeout(100ms, receive_all);
    std::printf("%d messages\n", received);

    const task<> editing = create_task(edit());
    co_await sleep(1ms);
    editing.cancel();
    try {
        co_await editing;
    } catch (const tercet::cancelled_error&) {
        std::puts("the editor has ended");
    }
}

}  // namespace

int main() { run(main_coroutine()); }
