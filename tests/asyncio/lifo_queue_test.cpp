#include <tercet/asyncio.hpp>

#include <gtest/gtest.h>

using tercet::asyncio::lifo_queue;

TEST(lifo_queue, gives_the_youngest_first) {
    lifo_queue<int> items(3);
    for (const int i : {1, 2, 3}) items.put_nowait(i);
    for (const int i : {3, 2, 1}) EXPECT_EQ(items.get_nowait(), i);
}
