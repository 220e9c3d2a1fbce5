#include <tercet/futures/job.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>

namespace {

using namespace tercet;

TEST(job, runs_the_call_and_gives_its_result) {
    auto [work, result] = make_call([](int a, int b) { return a + b; }, 2, 3);
    work->run(nullptr);
    EXPECT_EQ(result.result(), 5);
}

TEST(job, copies_arguments_and_moves_them_into_the_call) {
    std::string text = "page";
    auto [work, result] =
        make_call([](std::string taken, std::unique_ptr<int> number) { return taken + std::to_string(*number); }, text,
                  std::make_unique<int>(7));
    text = "changed";
    work->run(nullptr);
    EXPECT_EQ(result.result(), "page7");
}

TEST(job, catches_what_the_call_throws) {
    auto [work, result] = make_call([]() -> int { throw std::out_of_range("row"); });
    work->run(nullptr);
    EXPECT_THROW(result.result(), std::out_of_range);
}

TEST(job, does_not_run_what_was_cancelled) {
    bool ran = false;
    auto [work, result] = make_call([&] { ran = true; });
    EXPECT_TRUE(result.cancel());
    work->run(nullptr);
    EXPECT_FALSE(ran);
    EXPECT_THROW(result.result(), cancelled_error);
}

TEST(job, discard_cancels_and_fail_fails) {
    auto [dropped, first] = make_call([] {});
    dropped->discard();
    EXPECT_THROW(first.result(), cancelled_error);
    auto [failed, second] = make_call([] {});
    failed->fail(std::make_exception_ptr(broken_executor("gone")));
    EXPECT_THROW(second.result(), broken_executor);
}

TEST(job, frees_what_the_call_held_before_the_result_is_seen) {
    auto held = std::make_shared<int>(1);
    const std::weak_ptr<int> watched = held;
    auto [work, result] = make_call([](const std::shared_ptr<int>& value) { return *value; }, std::move(held));
    bool was_free = false;
    result.add_done_callback([&] { was_free = watched.expired(); });
    work->run(nullptr);
    EXPECT_TRUE(was_free);
    EXPECT_EQ(result.result(), 1);
}

TEST(job, gives_a_stop_token_that_cancel_of_running_work_triggers) {
    future<bool> running;
    auto [work, result] = make_call(
        [&](std::stop_token token, int) {
            EXPECT_FALSE(token.stop_requested());
            EXPECT_FALSE(running.cancel());
            return token.stop_requested();
        },
        1);
    running = std::move(result);
    work->run(nullptr);
    EXPECT_TRUE(running.result());
}

TEST(job, tells_the_observer_before_the_result_is_out_and_before_callbacks) {
    struct observer final : finish_observer {
        explicit observer(future<void>& result) : seen(result) {}
        void work_is_over() noexcept override { order += seen.done() ? 'D' : 'w'; }
        bool takes_over(continuation*) noexcept override {
            order += seen.done() ? 'c' : 'C';
            return false;
        }
        future<void>& seen;
        std::string order;
    };
    auto [work, result] = make_call([] {});
    future<void> watched = std::move(result);
    observer listening(watched);
    watched.add_done_callback([&] { listening.order += '!'; });
    work->run(&listening);
    EXPECT_EQ(listening.order, "wc!");
}

TEST(job, frees_what_the_call_held_when_it_is_cancelled_discarded_or_failed) {
    enum class end { cancelled, discarded, failed };
    for (const end how : {end::cancelled, end::discarded, end::failed}) {
        auto held = std::make_shared<int>(1);
        const std::weak_ptr<int> watched = held;
        auto [work, result] = make_call([](const std::shared_ptr<int>&) {}, std::move(held));
        if (how == end::cancelled) {
            result.cancel();
            work->run(nullptr);
        } else if (how == end::discarded) {
            work->discard();
        } else {
            work->fail(std::make_exception_ptr(broken_executor("gone")));
            EXPECT_TRUE(result.exception() != nullptr);
        }
        EXPECT_TRUE(watched.expired());
    }
}

struct alignas(128) wide {
    std::uintptr_t address() const { return reinterpret_cast<std::uintptr_t>(this); }
};

TEST(job, what_is_aligned_strictly_stays_so_in_the_call_and_in_the_result) {
    for (int i = 0; i < 20; ++i) {
        auto [work, result] = make_call([](const wide& given) { return given.address(); }, wide{});
        work->run(nullptr);
        EXPECT_EQ(result.result() % alignof(wide), 0U);
        auto [other, made] = make_call([] { return wide{}; });
        other->run(nullptr);
        EXPECT_EQ(made.result().address() % alignof(wide), 0U);
        std::uintptr_t posted = 1;
        const auto note = [](std::uintptr_t* to, const wide& given) { *to = given.address(); };
        (new posted_call<std::decay_t<decltype(note)>, std::uintptr_t*, wide>(note, &posted, wide{}))->run(nullptr);
        EXPECT_EQ(posted % alignof(wide), 0U);
    }
}

TEST(job, a_posted_call_that_takes_a_stop_token_gets_one_that_nobody_triggers) {
    int seen = 0;
    const auto note = [&seen](std::stop_token stop, int number) { seen = stop.stop_possible() ? -1 : number; };
    (new posted_call<std::decay_t<decltype(note)>, int>(note, 4))->run(nullptr);
    EXPECT_EQ(seen, 4);
}

}  // namespace
