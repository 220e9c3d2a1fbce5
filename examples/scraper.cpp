// scraper: five threads take URLs from a queue, fetch them, and put what they found into one list.
#include <tercet/asyncio.hpp>
#include <tercet/http.hpp>
#include <tercet/threading.hpp>

#include <cstdio>
#include <mutex>
#include <optional>

namespace http = tercet::http;
namespace threading = tercet::threading;
using namespace std::chrono_literals;
using tercet::asyncio::coro;

constexpr int worker_count = 5;

/// A server in this program, so that it needs no network. It takes its time: half a second for each page, of `size`
/// bytes.
coro<http::server_response> slow_page(http::server_request request) {
    co_await tercet::asyncio::sleep(500ms);
    co_return http::text_response(std::string(std::stoul(request.parameter_named("size")), 'x'));
}

/// Runs the server until it is asked to stop.
coro<void> serve(std::stop_token stop, tercet::promise<std::string> url) {
    http::server server;
    server.route("GET", "/pages/{size}", slow_page);
    co_await server.start();
    url.set_result(server.url("/pages/"));

    tercet::asyncio::event stopped;
    auto& loop = tercet::asyncio::get_running_loop();
    const std::stop_callback on_stop(stop, [&] { loop.call_soon_threadsafe([&] { stopped.set(); }); });
    co_await stopped.wait();
    co_await server.close();
}

class scraper {
public:
    struct result {
        std::string url;
        std::string finding;  ///< status and size, or the error
    };

    /// What was found, in the order in which it was.
    std::vector<result> scrape(const std::vector<std::string>& urls) {
        std::vector<threading::thread> workers;
        for (int i = 0; i < worker_count; ++i) workers.emplace_back([this] { work(); }).start();
        for (const auto& url : urls) urls_.put(url);
        urls_.join();  // until every URL is done with
        for (int i = 0; i < worker_count; ++i) urls_.put(std::nullopt);
        for (auto& each : workers) each.join();
        return std::move(results_);
    }

private:
    void work() {
        while (const std::optional<std::string> url = urls_.get()) {
            std::string finding;
            try {
                const auto page = http::get(*url, {.timeout = 5s});
                finding = std::to_string(page.status) + ", " + std::to_string(page.body.size()) + " bytes";
            } catch (const std::exception& error) {  // costs this page, not the worker
                finding = error.what();
            }
            {
                const std::lock_guard guard(lock_);
                results_.push_back({*url, finding});
            }
            urls_.task_done();
        }
    }

    threading::queue<std::optional<std::string>> urls_{100};  // nothing in place of a URL: the poison pill
    threading::lock lock_;
    std::vector<result> results_;  // under lock_
};

int main() try {
    tercet::promise<std::string> address;
    auto started = address.get_future();
    threading::thread server(
        [](std::stop_token stop, auto url) { tercet::asyncio::run(serve(std::move(stop), std::move(url))); },
        std::move(address));
    server.start();
    const std::string pages = started.result();

    const auto begin = std::chrono::steady_clock::now();
    const auto results = scraper().scrape({pages + "1000", pages + "2000", pages + "3000", "nowhere://", pages + "40"});
    const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - begin;
    for (const auto& each : results) std::printf("%s: %s\n", each.url.c_str(), each.finding.c_str());
    std::printf("%zu URLs in %.2f s\n", results.size(), elapsed.count());
} catch (const std::exception& error) {
    std::fprintf(stderr, "scraper: %s\n", error.what());
    return 1;
}
