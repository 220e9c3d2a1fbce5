// statuses_multiprocessing URL…: fetches all of them at once and prints their statuses, in order. In processes.
#include <tercet/http.hpp>
#include <tercet/multiprocessing.hpp>

#include <cstdio>

int status(const std::string& url) { return tercet::http::get(url).status; }

int main(int argc, char** argv) {
    const std::vector<std::string> urls(argv + 1, argv + argc);
    tercet::multiprocessing::process_pool_executor pool(urls.size());
    for (const int each : pool.map(status, urls)) std::printf("%d\n", each);
}
