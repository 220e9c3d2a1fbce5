#include <tercet/multiprocessing.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <stdexcept>
#include <string>
#include <utility>

#include "process_probe.hpp"

namespace tercet::multiprocessing {
namespace {

using namespace std::chrono_literals;

std::string model;
pid_t read_by = 0;

void read_model(const std::string& text) {
    model = text;
    read_by = ::getpid();
}

class forkserver_preload : public testing::Test {
protected:
    forkserver_preload() { terminate_all(); }
    ~forkserver_preload() override {
        terminate_all();
        set_forkserver_preload();
    }
};

TEST_F(forkserver_preload, is_called_once_in_the_server_and_all_workers_have_what_it_read) {
    set_forkserver_preload(read_model, std::string("weights"));
    const auto look = [] { return std::pair(model, read_by); };
    for (int round = 0; round < 2; ++round) {
        process_pool_executor pool(1);
        const auto seen = pool.submit(look).result();
        EXPECT_EQ(seen, std::pair(std::string("weights"), only_child()));
    }
    process child([] { ::_exit(model == "weights" ? 3 : 4); });
    child.start();
    child.join();
    EXPECT_EQ(child.exitcode(), 3);
    process_pool_executor fresh({.max_workers = 1, .start_method = start_method::spawn});
    EXPECT_EQ(fresh.submit(look).result(), std::pair(std::string(), pid_t{0}));
    EXPECT_EQ(model, "");
}

TEST_F(forkserver_preload, is_called_again_in_the_next_server) {
    set_forkserver_preload(read_model, std::string("weights"));
    process_pool_executor pool(1);
    const pid_t first = pool.submit([] { return read_by; }).result();
    ::kill(first, SIGKILL);
    pid_t second = first;
    while (second == first) {
        auto work = pool.submit([] { return read_by; });
        if (!work.exception(20s)) second = work.result();
    }
    EXPECT_EQ(second, only_child());
}

TEST_F(forkserver_preload, is_refused_while_a_server_runs) {
    process_pool_executor pool(1);
    pool.submit([] {}).result();
    EXPECT_THROW(set_forkserver_preload(read_model, std::string("weights")), invalid_state_error);
    EXPECT_EQ(pool.submit([] { return model; }).result(), "");
}

TEST_F(forkserver_preload, that_throws_is_reported_and_breaks_the_pool) {
    set_forkserver_preload([] { throw std::runtime_error("no such model"); });
    testing::internal::CaptureStderr();
    {
        process_pool_executor pool(1);
        auto work = pool.submit([] {});
        try {
            work.result();
            ADD_FAILURE() << "there is no server";
        } catch (const broken_process_pool& error) {
            EXPECT_THAT(error.what(), testing::HasSubstr("the fork server"));
        }
    }
    EXPECT_THAT(testing::internal::GetCapturedStderr(), testing::HasSubstr("no such model"));
}

TEST_F(forkserver_preload, that_never_ends_ends_with_the_pool) {
    set_forkserver_preload([] {
        for (;;) ::pause();
    });
    process_pool_executor pool({.max_workers = 1, .start_timeout = 100ms});
    auto work = pool.submit([] {});
    EXPECT_THROW(work.result(), broken_process_pool);
    EXPECT_EQ(only_child(), 0);
}

TEST_F(forkserver_preload, takes_no_more_than_fits_into_a_socket) {
    EXPECT_THROW(set_forkserver_preload(read_model, std::string(100'000, 'x')), std::length_error);
    EXPECT_THROW(set_forkserver_preload([](const shared_array<int>&) {}, shared_array<int>(10)), std::invalid_argument);
    set_forkserver_preload(read_model, std::string(60'000, 'x'));
    process_pool_executor pool(1);
    EXPECT_EQ(pool.submit([] { return model.size(); }).result(), 60'000U);
}

}  // namespace
}  // namespace tercet::multiprocessing
