#pragma once

#include <tercet/asyncio/coro.hpp>
#include <tercet/asyncio/semaphore.hpp>
#include <tercet/http/client_session.hpp>

#include <cstdint>
#include <string>

namespace tercet::tools {

/// Work that waits: fetch a page. One item is one request.
struct page {
    std::string url;
    double timeout_s;
};

/// The status of the answer. Throws what `http::get` throws.
int fetch(const page& wanted);

/// The same, awaited: its twin for a coroutine.
class page_fetcher {
public:
    /// At most `limit` requests are under way at once.
    explicit page_fetcher(std::size_t limit);
    asyncio::coro<int> operator()(page wanted);

private:
    asyncio::semaphore slots_;  // in front of the session, in which a wait for a connection counts for the timeout
    http::client_session session_;
};

/// Work that computes: the sum of the square roots of 0, 1, … below `below`.
struct square_roots {
    std::uint64_t below;
};

double sum(const square_roots& roots);

/// The same in a coroutine. It has nothing to await, so it keeps its loop busy until it is done.
class square_root_adder {
public:
    explicit square_root_adder(std::size_t limit);
    asyncio::coro<double> operator()(square_roots roots);
};

}  // namespace tercet::tools
