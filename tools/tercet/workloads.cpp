#include "workloads.hpp"

#include <tercet/http/session.hpp>

#include <cmath>

namespace tercet::tools {

namespace {

http::request_options options_of(const page& wanted) { return {.timeout = http::seconds(wanted.timeout_s)}; }

}  // namespace

int fetch(const page& wanted) { return http::get(wanted.url, options_of(wanted)).status; }

page_fetcher::page_fetcher(std::size_t limit) : slots_(limit), session_({.limit = limit}) {}

asyncio::coro<int> page_fetcher::operator()(page wanted) {
    const auto slot = co_await slots_.scoped();
    const http::response answer = co_await session_.get(wanted.url, options_of(wanted));
    co_return answer.status;
}

double sum(const square_roots& roots) {
    double total = 0;
    for (std::uint64_t i = 0; i < roots.below; ++i) total += std::sqrt(static_cast<double>(i));
    return total;
}

square_root_adder::square_root_adder(std::size_t) {}

asyncio::coro<double> square_root_adder::operator()(square_roots roots) { co_return sum(roots); }

}  // namespace tercet::tools
