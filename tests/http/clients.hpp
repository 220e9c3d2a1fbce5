#pragma once

#include <tercet/asyncio/run.hpp>
#include <tercet/http/client_session.hpp>
#include <tercet/http/session.hpp>

#include <gtest/gtest.h>

namespace tercet::test {

/// The two clients as the tests that both must pass see them.
class blocking_client {
public:
    http::response fetch(http::request wanted) { return session_.fetch(std::move(wanted)); }

private:
    http::session session_;
};

/// Each fetch on a loop of its own, all in one session.
class awaiting_client {
public:
    http::response fetch(http::request wanted) { return asyncio::run(session_.fetch(std::move(wanted))); }

private:
    http::client_session session_;
};

using all_clients = testing::Types<blocking_client, awaiting_client>;

}  // namespace tercet::test
