#include <tercet/multiprocessing/reflection.hpp>

#include <gtest/gtest.h>

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace tercet::multiprocessing::reflection {
namespace {

struct none {};
struct one {
    std::vector<std::string> v;
};
struct two {
    int a;
    int b;
};
struct array_last {
    int n;
    int a[3];
};
struct array_first {
    char name[16];
    int n;
};
struct arrays {
    int grid[2][3];
    two pair;
    two pairs[2];
    double d;
};
struct library {
    std::string s;
    std::optional<int> o;
    std::variant<int, std::string> v;
    std::unique_ptr<int> p;
    std::filesystem::path f;
    std::function<void()> fn;
    std::array<int, 3> a;
};
struct no_default {
    explicit no_default(int);
    no_default(const no_default&);
};
struct holds_no_default {
    int a;
    no_default b;
    int c;
};
struct derived : two {
    int c;
};
struct derived_of_empty : none {
    int c;
};
struct thirty_two {
    int a1, a2, a3, a4, a5, a6, a7, a8, b1, b2, b3, b4, b5, b6, b7, b8, c1, c2, c3, c4, c5, c6, c7, c8, d1, d2, d3, d4,
        d5, d6, d7, d8;
};

TEST(reflection, fields_are_counted) {
    EXPECT_EQ(field_count<none>(), 0U);
    EXPECT_EQ(field_count<one>(), 1U);
    EXPECT_EQ(field_count<two>(), 2U);
    EXPECT_EQ(field_count<library>(), 7U);
    EXPECT_EQ(field_count<holds_no_default>(), 3U);
    EXPECT_EQ(field_count<thirty_two>(), 32U);
}

TEST(reflection, a_c_array_is_one_field) {
    EXPECT_EQ(field_count<array_last>(), 2U);
    EXPECT_EQ(field_count<array_first>(), 2U);
    EXPECT_EQ(field_count<arrays>(), 4U);
}

TEST(reflection, bases_are_noticed) {
    EXPECT_TRUE(has_base<derived>);
    EXPECT_TRUE(has_base<derived_of_empty>);
    EXPECT_FALSE(has_base<two>);
    EXPECT_FALSE(has_base<library>);
}

TEST(reflection, fields_are_given_in_order) {
    arrays object{{{1, 2, 3}, {4, 5, 6}}, {7, 8}, {{9, 10}, {11, 12}}, 13};
    with_fields(object, [](auto& grid, auto& pair, auto& pairs, auto& d) {
        EXPECT_EQ(grid[1][2], 6);
        EXPECT_EQ(pair.b, 8);
        EXPECT_EQ(pairs[1].a, 11);
        d = 14;
    });
    EXPECT_EQ(object.d, 14);
}

}  // namespace
}  // namespace tercet::multiprocessing::reflection
