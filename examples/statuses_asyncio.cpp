// statuses_asyncio URL…: fetches all of them at once and prints their statuses, in order. In coroutines.
#include <tercet/asyncio.hpp>
#include <tercet/http.hpp>

#include <cstdio>

using tercet::asyncio::coro;

coro<int> status(tercet::http::client_session& session, std::string url) {
    const auto page = co_await session.get(url);
    co_return page.status;
}

coro<std::vector<int>> statuses(std::vector<std::string> urls) {
    tercet::http::client_session session;
    std::vector<coro<int>> calls;
    for (const auto& url : urls) calls.push_back(status(session, url));
    co_return co_await tercet::asyncio::gather(std::move(calls));
}

int main(int argc, char** argv) {
    const std::vector<std::string> urls(argv + 1, argv + argc);
    for (const int each : tercet::asyncio::run(statuses(urls))) std::printf("%d\n", each);
}
