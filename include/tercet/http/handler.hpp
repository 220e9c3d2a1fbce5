#pragma once

#include <tercet/asyncio/coro.hpp>
#include <tercet/http/server_request.hpp>
#include <tercet/http/server_response.hpp>

#include <functional>

namespace tercet::http {

/// Answers the requests of a route: a coroutine function, or an object with such a call operator, which lives as long
/// as the server. Runs on the server's loop, one call for each request, many at once.
using handler = std::function<asyncio::coro<server_response>(server_request request)>;

}  // namespace tercet::http
