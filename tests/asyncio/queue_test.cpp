#include <tercet/asyncio.hpp>

#include <gtest/gtest.h>

using tercet::asyncio::queue;

TEST(queue, gives_the_oldest_first_around_the_ring_and_while_it_grows) {
    auto items = queue<int>::unbounded();
    int put = 0;
    int got = 0;
    for (int round = 0; round < 50; ++round) {
        for (int i = 0; i < round; ++i) items.put_nowait(put++);
        for (int i = 0; i < round / 2; ++i) EXPECT_EQ(items.get_nowait(), got++);
    }
    while (auto item = items.try_get()) EXPECT_EQ(*item, got++);
    EXPECT_EQ(got, put);
}
