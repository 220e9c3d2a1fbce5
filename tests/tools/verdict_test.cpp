#include "verdict.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace {

using namespace tercet::tools;
using testing::HasSubstr;
using testing::Not;

row line(model how, std::size_t workers, std::vector<double> walls, double cpu, bool fails = false,
         double run_delay = 0) {
    row made{.how = how, .workers = workers, .runs = {}};
    for (const double wall : walls)
        made.runs.push_back(
            {.items = std::vector<item_result>(4, fails ? item_result{.error = "x"} : item_result{.value = 1}),
             .cost = {.wall_s = wall, .cpu_s = cpu, .run_delay_s = run_delay, .peak_rss_bytes = 1}});
    return made;
}

std::string verdict_of(std::vector<row> rows) {
    return verdict({.name = "test", .title = "", .is_status = false, .rows = std::move(rows)});
}

TEST(verdict, work_that_is_rarely_on_a_cpu_waits) {
    const auto text = verdict_of({line(model::sequential, 1, {4.0}, 0.02), line(model::threading, 4, {1.02}, 0.03),
                                  line(model::asyncio, 1, {1.0}, 0.01)});
    EXPECT_THAT(text, HasSubstr("asyncio is fastest: the work waits"));
    EXPECT_THAT(text, HasSubstr("in coroutines on one thread"));
}

TEST(verdict, work_that_is_always_on_a_cpu_computes) {
    const auto text = verdict_of({line(model::sequential, 1, {4.0}, 4.0), line(model::threading, 2, {2.0}, 4.0),
                                  line(model::asyncio, 1, {4.0}, 4.0)});
    EXPECT_THAT(text, HasSubstr("threading is fastest: the work computes"));
    EXPECT_THAT(text, HasSubstr("kept 2.00 of them busy on 2 threads"));
    EXPECT_THAT(text, HasSubstr("coroutines share one thread, and kept 1.00 busy"));
}

TEST(verdict, time_in_the_queue_for_a_cpu_is_not_taken_for_waiting) {
    const auto text = verdict_of({line(model::sequential, 1, {8.0}, 4.0, false, 4.0),
                                  line(model::threading, 2, {4.0}, 4.0), line(model::asyncio, 1, {8.0}, 4.0)});
    EXPECT_THAT(text, HasSubstr("the work computes (100%"));
    EXPECT_THAT(text, HasSubstr("The machine was busy with other work"));
}

TEST(verdict, models_whose_ranges_overlap_are_named_together) {
    const auto text =
        verdict_of({line(model::sequential, 1, {4.0}, 4.0), line(model::threading, 2, {2.0, 2.1, 2.2}, 4.0),
                    line(model::multiprocessing, 2, {2.15, 2.2, 2.3}, 4.0)});
    EXPECT_THAT(text, HasSubstr("threading is fastest (within the spread of multiprocessing)"));
}

TEST(verdict, models_that_failed_prove_nothing) {
    const auto text = verdict_of({line(model::sequential, 1, {4.0}, 0.02, true), line(model::threading, 2, {2.0}, 4.0),
                                  line(model::asyncio, 1, {0.1}, 0.1, true)});
    EXPECT_THAT(text, HasSubstr("threading is fastest: the work computes"));
    EXPECT_THAT(text, Not(HasSubstr("coroutines")));
}

TEST(verdict, failures_everywhere_leave_no_fastest) {
    EXPECT_THAT(verdict_of({line(model::threading, 1, {1}, 0.1, true), line(model::asyncio, 1, {1}, 0.1, true)}),
                HasSubstr("No model is the fastest"));
}

TEST(verdict, a_model_alone_is_not_called_the_fastest) {
    EXPECT_THAT(verdict_of({line(model::threading, 1, {1}, 0.1)}), Not(HasSubstr("fastest")));
}

}  // namespace
