#include "compare_report.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace {

using namespace tercet::tools;
using testing::HasSubstr;

run_result run_of(double wall, std::vector<item_result> items, double cpu = 0.01, std::uint64_t peak = 1 << 20) {
    return {.items = std::move(items), .cost = {.wall_s = wall, .cpu_s = cpu, .peak_rss_bytes = peak}};
}

std::vector<item_result> ok(std::size_t count) { return std::vector<item_result>(count, {.value = 200}); }

TEST(compare_report, the_median_is_the_middle_or_the_mean_of_the_two_in_the_middle) {
    EXPECT_DOUBLE_EQ(spread_of({3, 1, 2}).median, 2);
    EXPECT_DOUBLE_EQ(spread_of({4, 1, 2, 3}).median, 2.5);
    EXPECT_DOUBLE_EQ(spread_of({4, 1}).min, 1);
    EXPECT_DOUBLE_EQ(spread_of({4, 1}).max, 4);
    EXPECT_DOUBLE_EQ(spread_of({}).median, 0);
}

TEST(compare_report, speed_up_is_sequential_over_the_model) {
    const workload_report report{
        .name = "io",
        .title = "test",
        .is_status = true,
        .rows = {
            {.how = model::sequential, .workers = 1, .runs = {run_of(5, ok(5))}},
            {.how = model::asyncio, .workers = 1, .runs = {run_of(1, ok(5)), run_of(2, ok(5)), run_of(1.25, ok(5))}}}};
    const std::string table = to_table(report, false);
    EXPECT_THAT(table, HasSubstr("4.00×"));
    EXPECT_THAT(table, HasSubstr("(1.000 – 2.000)"));
    EXPECT_THAT(table, HasSubstr("5 × 200"));
    const auto json = nlohmann::json::parse(to_json({report}));
    EXPECT_EQ(json["workloads"][0]["rows"][1]["speedup"], 4.0);
    EXPECT_EQ(json["workloads"][0]["fastest"], "asyncio");
}

TEST(compare_report, a_failure_in_any_run_is_reported) {
    const row line{
        .how = model::threading,
        .workers = 2,
        .runs = {run_of(1, ok(2)), run_of(1, {{.value = 200}, {.error = "connect 127.0.0.1:1: Connection refused"}}),
                 run_of(1, ok(2))}};
    EXPECT_EQ(line.failed(), 1U);
    const workload_report report{.name = "io", .title = "test", .is_status = true, .rows = {line}};
    EXPECT_THAT(to_table(report, false), HasSubstr("1 × 200, 1 × error: connect 127.0.0.1:1: Connection refused"));
}

TEST(compare_report, a_model_whose_items_failed_is_not_the_fastest) {
    const workload_report report{
        .name = "io",
        .title = "test",
        .is_status = true,
        .rows = {{.how = model::threading, .workers = 1, .runs = {run_of(0.1, {{.error = "x"}})}},
                 {.how = model::asyncio, .workers = 1, .runs = {run_of(1, ok(1))}}}};
    EXPECT_EQ(report.fastest()->how, model::asyncio);
}

TEST(compare_report, a_model_whose_items_failed_has_no_speed_up_and_is_no_baseline) {
    const row good{.how = model::threading, .workers = 1, .runs = {run_of(1, ok(1))}};
    const row bad{.how = model::asyncio, .workers = 1, .runs = {run_of(0.1, {{.error = "x"}})}};
    row base{.how = model::sequential, .workers = 1, .runs = {run_of(2, ok(1))}};
    const auto speedups_of = [&] {
        const workload_report report{.name = "io", .title = "test", .is_status = true, .rows = {base, good, bad}};
        std::vector<nlohmann::json> speedups;
        const auto json = nlohmann::json::parse(to_json({report}));
        for (const auto& each : json["workloads"][0]["rows"]) speedups.push_back(each["speedup"]);
        return speedups;
    };
    EXPECT_THAT(speedups_of(), testing::ElementsAre(1.0, 2.0, nullptr));
    base.runs = {run_of(2, {{.error = "x"}})};
    EXPECT_THAT(speedups_of(), testing::ElementsAre(nullptr, nullptr, nullptr));
    const workload_report report{.name = "io", .title = "test", .is_status = true, .rows = {base, good, bad}};
    EXPECT_THAT(to_table(report, false), testing::Not(HasSubstr("×  ")));
}

TEST(compare_report, nothing_done_prints_nothing) {
    const workload_report report{.name = "io",
                                 .title = "test",
                                 .is_status = true,
                                 .rows = {{.how = model::threading, .workers = 1, .runs = {}}}};
    EXPECT_EQ(to_table(report, false), "");
    EXPECT_EQ(report.fastest(), nullptr);
    EXPECT_TRUE(nlohmann::json::parse(to_json({report}))["workloads"].empty());
}

TEST(compare_report, text_that_is_no_utf8_does_not_break_the_json) {
    const workload_report report{
        .name = "io",
        .title = "test",
        .is_status = true,
        .rows = {{.how = model::threading, .workers = 1, .runs = {run_of(1, {{.error = "bad \xff byte"}})}}}};
    EXPECT_TRUE(nlohmann::json::accept(to_json({report})));
}

}  // namespace
