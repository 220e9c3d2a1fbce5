// resilient_pool: a pool of threads fetches pages from a server that fails now and then. What may be better next time
// is tried again, after longer and longer waits; what each call comes to is printed as soon as it is known.
#include <tercet/asyncio.hpp>
#include <tercet/futures.hpp>
#include <tercet/http.hpp>
#include <tercet/threading.hpp>

#include <cstdio>
#include <map>
#include <random>

namespace http = tercet::http;
using namespace std::chrono_literals;
using tercet::asyncio::coro;

constexpr int max_attempts = 3;

/// A server in this program, so that it needs no network: /status/{code} always answers with that status,
/// /flaky/{failures} that many times with 503 and then with 200. Runs until it is asked to stop.
coro<void> serve(std::stop_token stop, tercet::promise<std::string> url) {
    http::server server;
    server.route("GET", "/status/{code}", [](http::server_request request) -> coro<http::server_response> {
        co_return http::text_response("a page\n", std::stoi(request.parameter_named("code")));
    });
    server.route("GET", "/flaky/{failures}",
                 [seen = std::map<int, int>()](http::server_request request) mutable -> coro<http::server_response> {
                     const int failures = std::stoi(request.parameter_named("failures"));
                     co_return http::text_response("a page\n", seen[failures]++ < failures ? 503 : 200);
                 });
    co_await server.start();
    url.set_result(server.url(""));

    tercet::asyncio::event stopped;
    auto& loop = tercet::asyncio::get_running_loop();
    const std::stop_callback on_stop(stop, [&] { loop.call_soon_threadsafe([&] { stopped.set(); }); });
    co_await stopped.wait();
    co_await server.close();
}

/// Waits 0.2 s after the first attempt, 0.4 s after the second, and so on, and up to 0.1 s more, so that those who
/// failed together do not come again together. A call that is cancelled does not wait any longer.
void back_off(std::stop_token stop, int attempt, const std::string& url, const std::string& reason) {
    thread_local std::minstd_rand random(std::random_device{}());
    const std::chrono::duration<double> pause(0.1 * (1 << attempt) + std::uniform_real_distribution(0.0, 0.1)(random));
    std::fprintf(stderr, "%s: %s; again in %.2f s\n", url.c_str(), reason.c_str(), pause.count());
    tercet::threading::event stopped;
    const std::stop_callback on_stop(stop, [&] { stopped.set(); });
    if (stopped.wait(pause)) throw tercet::cancelled_error(url + ": cancelled after " + reason);
}

/// Returns the number of attempts that it took. Throws `http::error` when they were too many, or when another one would
/// be of no use: a status of 4xx is an answer.
int fetch_with_backoff(std::stop_token stop, const std::string& url) {
    for (int attempt = 1;; ++attempt) {
        std::string reason;
        bool is_final = attempt == max_attempts;
        try {
            const auto page = http::get(url, {.timeout = 2s});
            if (page.ok()) return attempt;
            reason = "status " + std::to_string(page.status);
            is_final = is_final || page.status < 500;
        } catch (const std::runtime_error& error) {  // no connection, or no answer in time
            reason = error.what();
        }
        if (is_final) throw http::error("gave up in attempt " + std::to_string(attempt) + ": " + reason);
        back_off(stop, attempt, url, reason);
    }
}

int main() try {
    tercet::promise<std::string> address;
    auto started = address.get_future();
    tercet::threading::thread server(
        [](std::stop_token stop, auto url) { tercet::asyncio::run(serve(std::move(stop), std::move(url))); },
        std::move(address));
    server.start();
    const std::string base = started.result();

    const std::vector<std::string> paths{"/status/200", "/flaky/1", "/flaky/2", "/status/503", "/status/404"};
    tercet::threading::thread_pool_executor pool(10);
    std::vector<tercet::future<int>> calls;
    for (const auto& path : paths) calls.push_back(pool.submit(fetch_with_backoff, base + path));
    for (auto& call : tercet::as_completed(calls)) {
        const std::string& path = paths[static_cast<std::size_t>(&call - calls.data())];
        try {
            std::printf("%s: fetched in attempt %d\n", path.c_str(), call.result());
        } catch (const std::exception& error) {
            std::printf("%s: %s\n", path.c_str(), error.what());
        }
    }
} catch (const std::exception& error) {
    std::fprintf(stderr, "resilient_pool: %s\n", error.what());
    return 1;
}
