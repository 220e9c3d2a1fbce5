// subprocess_sort: lets sort(1) and wc(1) work at the same time, each with its input, and tells a program that is not
// there from one that fails.
#include <tercet/asyncio.hpp>

#include <cstdio>
#include <string>
#include <system_error>

using namespace tercet::asyncio;

namespace {

coro<std::string> filter(std::string program, std::vector<std::string> arguments, std::string input) {
    auto child = create_subprocess_exec(program, std::move(arguments), {.stdin_ = stdio::pipe, .stdout_ = stdio::pipe});
    const auto output = co_await child.communicate(std::move(input));
    co_return output.stdout_;
}

coro<> work() {
    auto sorting = filter("sort", {"-n"}, "10\n9\n1\n");
    auto counting = filter("wc", {"-c"}, std::string(1'000'000, 'x'));
    const auto outputs = co_await gather(std::move(sorting), std::move(counting));
    std::printf("sorted:\n%scounted: %s", std::get<0>(outputs).c_str(), std::get<1>(outputs).c_str());

    auto failing = create_subprocess_shell("exit 3");
    const int code = co_await failing.wait();
    auto sleeping = create_subprocess_exec("sleep", {"1000"});
    sleeping.terminate();
    const int by_signal = co_await sleeping.wait();
    std::printf("exit code %d, signal %d\n", code, -by_signal);
    try {
        create_subprocess_exec("no-such-program");
    } catch (const std::system_error& error) {
        std::printf("%s\n", error.what());
    }
}

}  // namespace

int main() { run(work()); }
