// line_numbers [FILE]: copies its standard input, or a file, line by line with numbers in front. The loop goes on while
// it waits for somebody to type.
#include <tercet/asyncio.hpp>

#include <cstdio>
#include <string>

using namespace tercet::asyncio;

namespace {

template <class Source>
coro<int> number_lines(Source lines) {
    int number = 0;
    for (;;) {
        const std::string line = co_await lines.read_line();
        if (line.empty()) co_return number;
        std::printf("%3d  %s", ++number, line.c_str());
    }
}

coro<int> number_file(std::string path) {
    file opened = co_await open_file(std::move(path));
    co_return co_await number_lines(std::move(opened));
}

coro<int> number_standard_input() { co_return co_await number_lines(open_standard_input()); }

}  // namespace

int main(int argc, char** argv) {
    const int lines = argc > 1 ? run(number_file(argv[1])) : run(number_standard_input());
    std::printf("%d lines\n", lines);
}
