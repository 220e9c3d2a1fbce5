// statuses_threading URL…: fetches all of them at once and prints their statuses, in order. In threads.
#include <tercet/http.hpp>
#include <tercet/threading.hpp>

#include <cstdio>

int status(const std::string& url) { return tercet::http::get(url).status; }

int main(int argc, char** argv) {
    const std::vector<std::string> urls(argv + 1, argv + argc);
    tercet::threading::thread_pool_executor pool(urls.size());
    for (const int each : pool.map(status, urls)) std::printf("%d\n", each);
}
