#pragma once

#include <tercet/http/server.hpp>

namespace tercet::tools {

/// Gives `server` the routes of a local httpbin, which answer in JSON as httpbin.org does:
///
///     GET  /                  what there is
///     GET  /get               the request as it arrived: args, headers, origin, url
///     GET  /headers           its headers
///     POST /post              the same, and the body as data, form and json
///     GET  /delay/{seconds}   like /get, after a wait; fractions are allowed, more than 10 is 10
///     ANY  /status/{code}     that status, 200 to 599; a redirect leads to /get
///     GET  /bytes/{n}         n random bytes, at most 16 MiB; ?seed=1 for the same ones each time
///     GET  /drip              ?numbytes=10&duration=2&delay=0&code=200: bytes that come slowly, each a chunk
void add_httpbin_routes(http::server& server);

}  // namespace tercet::tools
