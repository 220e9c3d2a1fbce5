#pragma once

#include <tercet/futures/future.hpp>

#include <cstddef>
#include <vector>

/// Promises and their futures, for tests of what watches several of them.
struct test_promises {
    explicit test_promises(std::size_t count) : promises(count) {
        for (auto& each : promises) futures.push_back(each.get_future());
    }
    void fail(std::size_t index) {
        promises[index].set_exception(std::make_exception_ptr(std::runtime_error("failed")));
    }

    std::vector<tercet::promise<int>> promises;
    std::vector<tercet::future<int>> futures;
};
