#include <tercet/multiprocessing/capture.hpp>

#include <gtest/gtest.h>

#include <string>

namespace tercet::multiprocessing {
namespace {

TEST(capture, calls_with_its_values_first) {
    const auto greet = capture([](const std::string& greeting, const std::string& name) { return greeting + name; },
                               std::string("hello "));
    EXPECT_EQ(greet("Ada"), "hello Ada");
    EXPECT_EQ(greet("Bob"), "hello Bob");
}

TEST(capture, holds_copies) {
    int x = 1;
    const auto add = capture([](int a, int b) { return a + b; }, x);
    x = 100;
    EXPECT_EQ(add(1), 2);
}

}  // namespace
}  // namespace tercet::multiprocessing
