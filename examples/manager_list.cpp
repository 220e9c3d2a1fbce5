// manager_list URL...: a process for each URL, and a list in a manager, into which each writes what came out. A process
// that fails writes why; none has to send anything back.
#include <tercet/http.hpp>
#include <tercet/multiprocessing.hpp>

#include <cstddef>
#include <cstdio>
#include <exception>
#include <string>
#include <vector>

namespace multiprocessing = tercet::multiprocessing;
using multiprocessing::list_proxy;

void fetch(const std::string& url, list_proxy<std::string> results, std::size_t index) {
    try {
        results.set(index, std::to_string(tercet::http::get(url).status));
    } catch (const std::exception& error) {
        results.set(index, "error: " + std::string(error.what()));
    }
}

int main(int argc, char** argv) try {
    const std::vector<std::string> urls(argv + 1, argv + argc);
    const multiprocessing::manager manager;
    const list_proxy<std::string> results = manager.list<std::string>(urls.size(), "nothing");

    std::vector<multiprocessing::process> processes;
    for (std::size_t i = 0; i < urls.size(); ++i) processes.emplace_back(fetch, urls[i], results, i);
    for (auto& each : processes) each.start();
    for (auto& each : processes) each.join();

    for (const std::string& each : results.values()) std::printf("%s\n", each.c_str());
} catch (const std::exception& error) {
    std::fprintf(stderr, "manager_list: %s\n", error.what());
    return 1;
}
