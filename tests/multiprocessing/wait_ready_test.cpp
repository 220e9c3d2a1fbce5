#include <tercet/multiprocessing/pipe.hpp>
#include <tercet/multiprocessing/process.hpp>
#include <tercet/multiprocessing/wait_ready.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <stdexcept>

namespace tercet::multiprocessing {
namespace {

using namespace std::chrono_literals;

TEST(wait_ready, names_all_that_are_ready_and_in_order) {
    auto [a, b] = pipe();
    auto [c, d] = pipe();
    EXPECT_TRUE(wait_ready({b, d}, 0s).empty());
    c.send(1);
    EXPECT_THAT(wait_ready({b, d}), testing::ElementsAre(1));
    a.close();
    EXPECT_THAT(wait_ready({b, d}), testing::ElementsAre(0, 1));
    EXPECT_THROW(wait_ready({-1}), std::invalid_argument);
    process child([] {});
    child.start();
    EXPECT_THAT(wait_ready({c, child}, 10s), testing::ElementsAre(1));
}

}  // namespace
}  // namespace tercet::multiprocessing
