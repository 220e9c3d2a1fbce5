#include <tercet/asyncio.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

using namespace std::chrono_literals;
using namespace tercet::asyncio;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::StartsWith;

namespace {

using state = call_graph_entry::state;

const call_graph_entry& entry_of(const call_graph& graph, std::string_view name) {
    const auto found = std::ranges::find(graph, name, &call_graph_entry::name);
    if (found == graph.end()) throw std::out_of_range("no task is called " + std::string(name));
    return *found;
}

coro<> sleep_long() { co_await sleep(1h); }
coro<> call_sleep() { co_await sleep_long(); }

/// Gives way until every other task waits for something.
coro<> all_wait() {
    for (;;) {
        const call_graph graph = capture_call_graph();
        if (std::ranges::find(graph, state::ready, &call_graph_entry::is) == graph.end()) co_return;
        co_await sleep(0s);
    }
}

/// The lines of `text` as it stands in a text editor, without the names of files and the numbers of lines.
std::vector<std::string> tree_of(const std::string& text) {
    std::vector<std::string> lines;
    for (std::size_t at = 0; at < text.size();) {
        const std::size_t end = text.find('\n', at);
        const std::string line = text.substr(at, end - at);
        at = end + 1;
        if (line.find("at ") == std::string::npos && line.find("made in ") == std::string::npos) lines.push_back(line);
    }
    return lines;
}

}  // namespace

TEST(call_graph, a_task_that_waits_is_shown_with_the_lines_of_its_coroutines_innermost_first) {
    auto main = []() -> coro<> {
        const task<> waiting = create_task(call_sleep(), {.name = "sleeper"});
        co_await all_wait();
        const call_graph graph = capture_call_graph();
        const call_graph_entry& sleeper = entry_of(graph, "sleeper");
        EXPECT_EQ(sleeper.is, state::waiting);
        EXPECT_FALSE(sleeper.is_cancelled);
        EXPECT_EQ(sleeper.call_stack.size(), 2U);
        EXPECT_THAT(sleeper.call_stack.at(0).function_name(), HasSubstr("sleep_long"));
        EXPECT_THAT(sleeper.call_stack.at(1).function_name(), HasSubstr("call_sleep"));
        EXPECT_EQ(sleeper.call_stack.at(1).line(), sleeper.call_stack.at(0).line() + 1);
        EXPECT_THAT(sleeper.awaits, IsEmpty());
        EXPECT_THAT(format_call_graph(graph),
                    HasSubstr("call_graph_test.cpp:" + std::to_string(sleeper.call_stack.at(0).line())));
    };
    run(main());
}

TEST(call_graph, who_runs_who_is_ready_and_who_has_not_begun_are_told_apart) {
    auto give_way = []() -> coro<> { co_await sleep(0s); };
    auto main = [&]() -> coro<> {
        const task<> gave_way = create_task(give_way(), {.name = "gave way"});
        co_await sleep(0s);
        const task<> fresh = create_task(sleep_long(), {.name = "fresh"});
        const call_graph graph = capture_call_graph();
        EXPECT_EQ(entry_of(graph, "main").is, state::running);
        EXPECT_EQ(entry_of(graph, "gave way").is, state::ready);
        EXPECT_EQ(entry_of(graph, "gave way").call_stack.size(), 1U);
        EXPECT_EQ(entry_of(graph, "fresh").is, state::ready);
        EXPECT_THAT(entry_of(graph, "fresh").call_stack, IsEmpty());
        const std::string text = format_call_graph(graph);
        EXPECT_THAT(text, HasSubstr("main (task-1), running\n"));
        EXPECT_THAT(text, HasSubstr("gave way (task-2), ready\n"));
        EXPECT_THAT(text, HasSubstr("fresh (task-3), not begun\n    made in "));
    };
    run(main());
}

TEST(call_graph, what_a_task_awaits_hangs_from_it_in_whatever_way_it_waits) {
    auto join = [](const task<>& joined) -> coro<> { co_await joined; };
    auto gather_two = []() -> coro<> {
        std::vector<coro<>> both;
        both.push_back(sleep_long());
        both.push_back(sleep_long());
        co_await gather(std::move(both));
    };
    auto watch = [](const std::vector<task<>>& watched) -> coro<> { co_await wait(watched); };
    auto body = [](task_group& group) -> coro<> {
        group.create_task(sleep_long(), {.name = "child"});
        co_return;
    };
    auto open_group = [&]() -> coro<> { co_await with_task_group(body); };
    auto main = [&]() -> coro<> {
        const task<> joined = create_task(sleep_long(), {.name = "joined"});
        const task<> joins = create_task(join(joined), {.name = "joins"});
        const task<> gathers = create_task(gather_two(), {.name = "gathers"});
        const std::vector<task<>> watched{joined};
        const task<> watches = create_task(watch(watched), {.name = "watches"});
        const task<> groups = create_task(open_group(), {.name = "groups"});
        co_await all_wait();
        const call_graph graph = capture_call_graph();
        EXPECT_THAT(entry_of(graph, "joins").awaits, ElementsAre(entry_of(graph, "joined").number));
        EXPECT_EQ(entry_of(graph, "gathers").awaits.size(), 2U);
        EXPECT_THAT(entry_of(graph, "watches").awaits, ElementsAre(entry_of(graph, "joined").number));
        EXPECT_THAT(entry_of(graph, "groups").awaits, ElementsAre(entry_of(graph, "child").number));
        EXPECT_THAT(tree_of(format_call_graph(graph)),
                    ElementsAre("main (task-1), running", "joins (task-3), waiting", "`-- joined (task-2), waiting",
                                "gathers (task-4), waiting", "|-- task-7, waiting", "`-- task-8, waiting",
                                "watches (task-5), waiting", "`-- joined, told above", "groups (task-6), waiting",
                                "`-- child (task-9), waiting"));
    };
    run(main());
}

TEST(call_graph, an_await_cycle_is_reported) {
    auto await_the_other = [](const task<>& other) -> coro<> { co_await other; };
    auto main = [&]() -> coro<> {
        std::array<task<>, 3> circle;
        circle[0] = create_task(await_the_other(circle[1]), {.name = "first"});
        circle[1] = create_task(await_the_other(circle[2]), {.name = "second"});
        circle[2] = create_task(await_the_other(circle[0]), {.name = "third"});
        const task<> outside = create_task(await_the_other(circle[1]), {.name = "outside"});
        co_await all_wait();
        const std::string text = format_call_graph();
        EXPECT_THAT(text, StartsWith("cycle: first awaits second awaits third awaits first\n"));
        EXPECT_EQ(text.find("cycle: ", 1), std::string::npos) << "it is one circle";
        EXPECT_THAT(tree_of(text), testing::Contains("            `-- second, told above"));
        circle[0].cancel();
        try {
            co_await outside;
        } catch (const tercet::cancelled_error&) {
        }
    };
    run(main());
}

TEST(call_graph, two_circles_and_a_task_that_awaits_itself_through_another_are_all_named) {
    auto await_both = [](const task<>& one, const task<>& other) -> coro<> {
        const std::vector<task<>> both{one, other};
        co_await wait(both);
    };
    auto main = [&]() -> coro<> {
        std::array<task<>, 3> tasks;
        tasks[0] = create_task(await_both(tasks[1], tasks[2]), {.name = "hub"});
        tasks[1] = create_task(await_both(tasks[0], tasks[0]), {.name = "left"});
        tasks[2] = create_task(await_both(tasks[0], tasks[0]), {.name = "right"});
        co_await all_wait();
        const std::string text = format_call_graph();
        EXPECT_THAT(text, HasSubstr("cycle: hub awaits left awaits hub\n"));
        EXPECT_THAT(text, HasSubstr("cycle: hub awaits right awaits hub\n"));
        for (const auto& each : tasks) each.cancel();
    };
    run(main());
}

TEST(call_graph, without_a_cycle_none_is_reported) {
    auto join = [](const task<>& joined) -> coro<> { co_await joined; };
    auto main = [&]() -> coro<> {
        const task<> shared = create_task(sleep_long());
        const task<> one = create_task(join(shared));
        const task<> other = create_task(join(shared));
        co_await all_wait();
        EXPECT_THAT(format_call_graph(), Not(HasSubstr("cycle: ")));
    };
    run(main());
}

TEST(call_graph, a_chain_of_a_hundred_thousand_tasks_is_written_without_growing_the_stack) {
    constexpr std::size_t length = 100'000;
    auto join = [](const task<>& joined) -> coro<> { co_await joined; };
    auto main = [&]() -> coro<> {
        std::vector<task<>> chain;
        chain.reserve(length);
        chain.push_back(create_task(sleep_long()));
        while (chain.size() < length) chain.push_back(create_task(join(chain.back())));
        co_await all_wait();
        const call_graph graph = capture_call_graph();
        EXPECT_EQ(graph.size(), length + 1);
        EXPECT_EQ(graph.back().awaits.size(), 1U);
    };
    run(main());
}

TEST(call_graph, a_cancelled_task_that_has_not_ended_is_marked) {
    auto main = []() -> coro<> {
        const task<> cancelled = create_task(sleep_long(), {.name = "cancelled"});
        co_await all_wait();
        cancelled.cancel();
        const std::string text = format_call_graph();
        EXPECT_THAT(text, HasSubstr("cancelled (task-2), ready, cancelled\n"));
    };
    run(main());
}

TEST(call_graph, it_may_be_kept_and_looked_at_after_the_loop) {
    auto main = []() -> coro<call_graph> {
        const task<> waiting = create_task(call_sleep(), {.name = "gone"});
        co_await all_wait();
        co_return capture_call_graph();
    };
    const call_graph graph = run(main());
    EXPECT_THAT(format_call_graph(graph), HasSubstr("gone (task-2), waiting\n"));
}

TEST(call_graph, outside_a_loop_there_is_none) { EXPECT_THROW(capture_call_graph(), tercet::invalid_state_error); }

TEST(call_graph, printing_writes_the_same_text) {
    auto main = []() -> coro<> {
        const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::tmpfile(), &std::fclose);
        print_call_graph(file.get());
        std::rewind(file.get());
        std::array<char, 4096> text{};
        const std::size_t size = std::fread(text.data(), 1, text.size(), file.get());
        EXPECT_EQ(std::string(text.data(), size), format_call_graph());
        co_return;
    };
    run(main());
}
