#include <tercet/multiprocessing/type_hash.hpp>

#include <gtest/gtest.h>

#include <map>
#include <set>
#include <string>
#include <vector>

namespace tercet::multiprocessing {
namespace {

struct point {
    int x;
    int y;
};
struct tree {
    int value;
    std::vector<tree> children;
    std::unique_ptr<tree> left;
    std::map<int, tree> named;
};

TEST(type_hash, is_known_at_compile_time_and_differs_between_types) {
    static_assert(type_hash<int> != type_hash<unsigned>);
    const std::set<std::uint64_t> all{type_hash<int>,
                                      type_hash<long>,
                                      type_hash<void>,
                                      type_hash<point>,
                                      type_hash<tree>,
                                      type_hash<std::string>,
                                      type_hash<std::vector<int>>,
                                      type_hash<std::vector<point>>,
                                      type_hash<std::pair<int, long>>,
                                      type_hash<std::pair<long, int>>,
                                      type_hash<int[3]>,
                                      type_hash<int[4]>};
    EXPECT_EQ(all.size(), 12U);
}

TEST(type_hash, of_a_list_depends_on_order_and_length) {
    EXPECT_NE((type_list_hash<int, long>), (type_list_hash<long, int>));
    EXPECT_NE((type_list_hash<int>), (type_list_hash<int, int>));
    EXPECT_NE(type_list_hash<>, type_list_hash<int>);
}

}  // namespace
}  // namespace tercet::multiprocessing
