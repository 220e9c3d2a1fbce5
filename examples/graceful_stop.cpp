// graceful_stop: works until SIGINT or SIGTERM comes, then takes no more work, lets what it has begun come to an end,
// and ends by itself with status 0.
#include <tercet/asyncio.hpp>

#include <csignal>
#include <cstdio>

using namespace std::chrono_literals;
using namespace tercet::asyncio;

namespace {

coro<> job(int number) {
    co_await sleep(100ms);
    std::printf("job %d is done\n", number);
}

coro<> serve() {
    signal_set stop{SIGINT, SIGTERM};
    std::vector<task<>> jobs;
    for (int number = 1; number <= 3; ++number) jobs.push_back(create_task(job(number)));
    std::fprintf(stderr, "serving\n");
    const int which = co_await stop.next();
    std::printf("%s: no more jobs\n", which == SIGTERM ? "SIGTERM" : "SIGINT");
    for (task<>& each : jobs) co_await each;
    std::printf("stopped\n");
}

}  // namespace

int main() { run(serve()); }
