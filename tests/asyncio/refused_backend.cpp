// A loop that is refused io_uring falls back to epoll. A suite that is to run on io_uring then says so and tests
// nothing, rather than testing epoll once more.

#include <tercet/asyncio/event_loop.hpp>

#include <gtest/gtest.h>

#include "asyncio/runs_on.hpp"

namespace {

using tercet::asyncio::event_loop;
using tercet::asyncio::loop_backend;

class refused_backend final : public testing::Environment {
public:
    void SetUp() override {
        if (!runs_on(loop_backend::io_uring)) return;
        const event_loop loop;
        if (loop.backend() != loop_backend::io_uring) GTEST_SKIP() << "io_uring is refused here: nothing was tested";
    }
};

// NOLINTNEXTLINE(cert-err58-cpp): googletest wants it before main
const auto* const registered = testing::AddGlobalTestEnvironment(new refused_backend);

}  // namespace
