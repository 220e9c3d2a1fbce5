#include <tercet/futures/adaptive_spin.hpp>
#include <tercet/futures/usable_cpus.hpp>

#include <gtest/gtest.h>

namespace tercet {
namespace {

TEST(adaptive_spin, returns_at_once_what_is_ready) {
    adaptive_spin spin;
    EXPECT_TRUE(spin.until([] { return true; }));
}

TEST(adaptive_spin, gives_up_soon_and_looks_once_where_it_never_pays) {
    adaptive_spin spin;
    for (int i = 0; i < 10; ++i) EXPECT_FALSE(spin.until([] { return false; }));
    int looks = 0;
    EXPECT_FALSE(spin.until([&] { return ++looks < 0; }));
    EXPECT_EQ(looks, 1);
}

TEST(adaptive_spin, tries_again_now_and_then_and_goes_on_when_it_pays) {
    if (usable_cpus() == 1) GTEST_SKIP() << "on one CPU nothing is waited for by looking";
    adaptive_spin spin;
    for (int i = 0; i < 10; ++i) EXPECT_FALSE(spin.until([] { return false; }));
    int waits = 0;
    bool paid = false;
    while (!paid && waits < 1000) {
        int looks = 0;
        paid = spin.until([&] { return ++looks == 5; });
        ++waits;
    }
    EXPECT_LE(waits, 64);
    int looks = 0;
    EXPECT_TRUE(spin.until([&] { return ++looks == 5; }));
}

}  // namespace
}  // namespace tercet
