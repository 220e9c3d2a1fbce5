#pragma once

#include <tercet/multiprocessing/start_method.hpp>

#include <gtest/gtest.h>

#include <string>

#include "sanitizers.hpp"

namespace tercet::multiprocessing {

/// What holds for each way to start processes; those tests of pools and processes in which the start has a part.
class start_methods : public testing::TestWithParam<start_method> {
protected:
    void SetUp() override {
        if (is_under_thread_sanitizer && GetParam() == start_method::fork)
            GTEST_SKIP() << "it knows no threads in a copy of a process that had several";
    }
    static bool is_fork() { return GetParam() == start_method::fork; }
};

inline std::string name_of_start_method(const testing::TestParamInfo<start_method>& each) {
    return std::string(to_string(each.param));
}

}  // namespace tercet::multiprocessing
