#include <tercet/threading/event.hpp>
#include <tercet/threading/local.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <optional>
#include <stdexcept>
#include <thread>
#include <vector>

namespace {

using tercet::threading::event;
using tercet::threading::local;

/// Counts how many of it there are.
struct counted {
    explicit counted(std::atomic<int>& all) : alive(&all) { ++*alive; }
    counted(const counted& other) : alive(other.alive) { ++*alive; }
    counted& operator=(const counted&) = delete;
    ~counted() { --*alive; }
    std::atomic<int>* alive;
};

TEST(local, each_thread_has_a_value_of_its_own) {
    local<int> number([] { return 5; });
    *number = 1;
    std::thread([&] {
        EXPECT_EQ(*number, 5);
        number.get() = 2;
        EXPECT_EQ(*number, 2);
    }).join();
    EXPECT_EQ(*number, 1);
}

TEST(local, each_object_has_values_of_its_own) {
    std::vector<std::unique_ptr<local<int>>> all;
    for (int i = 0; i < 50; ++i) all.push_back(std::make_unique<local<int>>([i] { return i; }));
    for (int i = 49; i >= 0; --i) EXPECT_EQ(**all[static_cast<std::size_t>(i)], i);
    for (int i = 0; i < 50; i += 2) all[static_cast<std::size_t>(i)].reset();
    local<int> in_a_used_slot([] { return 7; });
    EXPECT_EQ(*in_a_used_slot, 7);
    EXPECT_EQ(**all[1], 1);
}

TEST(local, a_value_goes_with_its_thread) {
    std::atomic<int> alive{0};
    local<counted> values([&] { return counted(alive); });
    std::thread([&] {
        values.get();
        EXPECT_EQ(alive, 1);
    }).join();
    EXPECT_EQ(alive, 0);
}

TEST(local, all_values_go_with_the_object_while_their_threads_live_on) {
    std::atomic<int> alive{0};
    std::optional<local<counted>> values(std::in_place, [&] { return counted(alive); });
    event has_value;
    event go;
    std::jthread other([&] {
        values->get();
        has_value.set();
        go.wait();
    });
    values->get();
    has_value.wait();
    EXPECT_EQ(alive, 2);
    values.reset();
    EXPECT_EQ(alive, 0);
    go.set();
}

TEST(local, a_factory_that_throws_leaves_no_value) {
    int calls = 0;
    local<int> number([&]() -> int {
        if (++calls == 1) throw std::runtime_error("not yet");
        return calls;
    });
    EXPECT_THROW(number.get(), std::runtime_error);
    EXPECT_EQ(*number, 2);
    EXPECT_EQ(*number, 2);
}

TEST(local, without_a_factory_the_value_is_the_default_one) {
    local<std::vector<int>> list;
    EXPECT_TRUE(list->empty());
    list->push_back(1);
    EXPECT_EQ(list->size(), 1U);
}

TEST(local, threads_that_end_while_the_object_goes_destroy_each_value_once) {
    std::atomic<int> alive{0};
    for (int round = 0; round < 200; ++round) {
        auto values = std::make_unique<local<counted>>([&] { return counted(alive); });
        std::atomic<int> have{0};
        std::vector<std::jthread> threads;
        for (int t = 0; t < 3; ++t)
            threads.emplace_back([&, raw = values.get()] {
                raw->get();
                ++have;
            });
        while (have != 3) std::this_thread::yield();
        values.reset();
        threads.clear();
        EXPECT_EQ(alive, 0);
    }
}

TEST(local, a_destructor_at_the_end_of_a_thread_may_ask_for_the_value_of_another_local) {
    struct second {
        std::unique_ptr<int> number = std::make_unique<int>(7);
    };
    static local<second>* seconds;
    static std::vector<int> seen;
    struct first {
        ~first() { seen.push_back(*seconds->get().number); }
        int unused = 0;
    };
    seen.clear();
    local<first> before;
    local<second> values;
    local<first> after;
    seconds = &values;
    std::thread([&] {
        before.get();
        values.get();
        after.get();
        seen.clear();
    }).join();
    EXPECT_EQ(seen, (std::vector{7, 7}));
}

TEST(local, destructors_that_ask_for_each_other_come_to_an_end) {
    struct asks {
        explicit asks(local<asks>*& to_ask) : whom(&to_ask) {}
        ~asks() {
            if (*whom) (*whom)->get();
        }
        local<asks>** whom;
    };
    static local<asks>* one;
    static local<asks>* two;
    local<asks> a([] { return asks(two); });
    local<asks> b([] { return asks(one); });
    one = &a;
    two = &b;
    std::thread([&] { a.get(); }).join();
    one = two = nullptr;
}

}  // namespace
