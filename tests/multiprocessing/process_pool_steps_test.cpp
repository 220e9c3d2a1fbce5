// A worker is killed at each step of a call: before it reads, in each part of what it reads and writes, between the
// two, and with everything written and nothing told. Whatever the step, it costs that call and nothing else.

#include <tercet/multiprocessing.hpp>

#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace tercet::multiprocessing {
namespace {

using namespace std::chrono_literals;

constexpr int parts = 4;

/// Where the worker of a call dies.
enum class step : int {
    never,
    reading,  ///< and each part behind it
    calling = reading + parts,
    writing,
    written = writing + parts,  ///< the result, of which the pool has not heard
    end,
};

void die_at(step here, step wanted) {
    if (in_worker() && here == wanted) ::raise(SIGKILL);
}
step part_of(step first, int part) { return static_cast<step>(static_cast<int>(first) + part); }

/// A value of several parts, and what kills the worker that is at that part of it.
struct fuse {
    step at = step::never;
    std::array<std::vector<char>, parts> data{};

    fuse() = default;
    fuse(step where, std::size_t size) : at(where) { data.fill(std::vector<char>(size, 'x')); }

    template <class Archive>
    void serialize(Archive& archive) {
        archive(at);
        for (int part = 0; part < parts; ++part) {
            die_at(part_of(Archive::is_saving ? step::writing : step::reading, part), at);
            archive(data[static_cast<std::size_t>(part)]);
        }
    }
};

/// A result that is still there when it was written.
struct lasting : fuse {
    using fuse::fuse;
    lasting(const lasting&) = delete;  // there is one, from the function to the message
    lasting(lasting&&) = default;
    lasting& operator=(const lasting&) = delete;
    lasting& operator=(lasting&&) = default;
    ~lasting() { die_at(step::written, at); }
};

std::size_t call(const fuse& argument) {
    die_at(step::calling, argument.at);
    return argument.data.back().size();
}
lasting make(step at, std::size_t size) { return {at, size}; }
int twice(int x) { return 2 * x; }

class process_pool_steps : public testing::TestWithParam<std::size_t> {};
INSTANTIATE_TEST_SUITE_P(sizes, process_pool_steps, testing::Values(10, 10'000, 200'000),
                         [](const auto& each) { return std::to_string(each.param) + "_bytes"; });

TEST_P(process_pool_steps, a_worker_that_is_killed_at_any_of_them_costs_that_call_alone) {
    process_pool_executor pool(2);
    std::uint64_t deaths = 0;
    for (int each = 0; each < static_cast<int>(step::end); ++each) {
        const auto where = static_cast<step>(each);
        SCOPED_TRACE(each);
        auto before = pool.submit(twice, each);
        const bool is_in_result = where >= step::writing;
        auto argument = pool.submit(call, fuse(is_in_result ? step::never : where, GetParam()));
        auto result = pool.submit(make, is_in_result ? where : step::never, GetParam());
        auto after = pool.submit(twice, each + 1);
        if (!is_in_result && where != step::never) {
            EXPECT_THROW(argument.result(60s), worker_died);
            ++deaths;
        } else {
            EXPECT_EQ(argument.result(60s), GetParam());
        }
        if (is_in_result) {
            EXPECT_THROW(result.result(60s), worker_died);
            ++deaths;
        } else {
            EXPECT_EQ(result.result(60s).data.back().size(), GetParam());
        }
        EXPECT_EQ(before.result(60s), 2 * each);
        EXPECT_EQ(after.result(60s), 2 * each + 2);
    }
    EXPECT_EQ(deaths, 2U * parts + 2);
    EXPECT_EQ(pool.statistics().died, deaths);
}

}  // namespace
}  // namespace tercet::multiprocessing
