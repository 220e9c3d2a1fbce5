#include <tercet/futures/errors.hpp>
#include <tercet/multiprocessing/process.hpp>
#include <tercet/multiprocessing/simple_queue.hpp>

#include <gtest/gtest.h>

namespace tercet::multiprocessing {
namespace {

TEST(simple_queue, passes_items_between_processes) {
    simple_queue<int> there;
    simple_queue<int> back;
    process child([](simple_queue<int> in, simple_queue<int> out) { out.put(in.get() + 1); }, there, back);
    child.start();
    there.put(1);
    EXPECT_EQ(back.get(), 2);
    EXPECT_TRUE(back.empty());
    back.close();
    EXPECT_THROW(back.put(1), invalid_state_error);
    EXPECT_THROW(back.get(), invalid_state_error);
    EXPECT_THROW(back.empty(), invalid_state_error);
}

}  // namespace
}  // namespace tercet::multiprocessing
