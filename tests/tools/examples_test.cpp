#include <tercet/asyncio.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <csignal>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "asyncio/certificates.hpp"
#include "child_server.hpp"
#include "program.hpp"

namespace {

using testing::ElementsAre;
using testing::MatchesRegex;

std::vector<std::string> sorted_lines(const std::string& text) {
    std::vector<std::string> lines;
    std::istringstream stream(text);
    for (std::string line; std::getline(stream, line);) lines.push_back(line);
    std::sort(lines.begin(), lines.end());
    return lines;
}

TEST(examples, the_same_program_prints_the_same_in_three_models) {
    tercet::tools::child_server httpbin(path_of("tercet"));
    for (const char* name : {"statuses_threading", "statuses_multiprocessing", "statuses_asyncio"}) {
        program example(name,
                        {httpbin.url() + "/status/200", httpbin.url() + "/delay/0.1", httpbin.url() + "/status/404"});
        EXPECT_EQ(example.wait(), 0) << name << "\n" << example.error_output();
        EXPECT_EQ(example.output(), "200\n200\n404\n") << name;
    }
}

void expect_output(const char* name, const char* output) {
    program example(name, {});
    EXPECT_EQ(example.wait(), 0) << name << "\n" << example.error_output();
    EXPECT_EQ(example.output(), output) << name;
}

TEST(examples, of_coroutines_print_what_they_show) {
    expect_output(
        "as_completed",
        "quick\nusual\nslow\nquick\nusual\nas_completed: 1 (of 3) tasks unfinished\nfirst: quick, 2 others\n");
    expect_output("context_var",
                  "[a1] begin\n[a1] query, on a thread\n[a1] end\n[b2] begin\n[b2] query, on a thread\n[b2] end\n"
                  "[none] main\n");
    expect_output("task_group",
                  "client 1 on port 8080\nclient 2 on port 8080\nclient 3 on port 8080\nserver: stopped\n"
                  "sleeper: a sibling failed\ntask_group pages (1 error)\n  std::runtime_error: no such page\n");
    expect_output("timeout", "too slow\n5 messages\ncancelled\nsaved\nthe editor has ended\n");
    expect_output("to_thread",
                  "so far 1\nso far 3\nso far 6\nsum 6\nthe thread has stopped\nand the wait for it has ended\n");
}

TEST(examples, processes_send_one_another_numbers_and_questions) {
    expect_output("process_queue", "1000 numbers, sum 500500\nadder ended with 0\n");
    expect_output("authenticated_client",
                  "question: six times seven\nanswer: 42\nclient: the listener has another authkey\n"
                  "listener: accept: a client has another authkey\n");
}

TEST(examples, of_pools_of_processes_print_what_they_show) {
    std::string sums;
    for (int i = 0; i < 8; ++i) sums += "333332833333500000\n";
    expect_output("pool_map", (sums + "sum of three: 333162135\ncalled back with 285\n").c_str());
    std::string pictures;
    for (int i = 1; i <= 12; ++i) pictures += "picture-" + std::to_string(i) + ": 320 x 240\n";
    expect_output("image_batch", (pictures + "3686400 bytes became 204014\n").c_str());
    expect_output("batches", "first of 8 batches: count 494472, sum 37323496, average 75.48\nthe same in both\n");
    expect_output("crash_isolation", "task 42: its process died\n99 tasks are done, sum 326586\n");
}

TEST(examples, processes_write_what_they_fetch_into_one_list_of_a_manager) {
    tercet::tools::child_server httpbin(path_of("tercet"));
    program example("manager_list", {httpbin.url() + "/status/200", "nowhere://", httpbin.url() + "/delay/0.1"});
    EXPECT_EQ(example.wait(), 0) << example.error_output();
    EXPECT_THAT(example.output(), MatchesRegex("200\nerror: .*malformed URL 'nowhere://'.*\n200\n"));
}

TEST(examples, the_counter_loses_nothing) {
    program example("counter", {});
    EXPECT_EQ(example.wait(), 0) << example.error_output();
    EXPECT_EQ(example.output(), "100000\n");
}

TEST(examples, the_resilient_pool_tries_again_what_may_get_better) {
    program example("resilient_pool", {});
    EXPECT_EQ(example.wait(), 0) << example.error_output();
    EXPECT_THAT(sorted_lines(example.output()),
                ElementsAre("/flaky/1: fetched in attempt 2", "/flaky/2: fetched in attempt 3",
                            "/status/200: fetched in attempt 1", "/status/404: gave up in attempt 1: status 404",
                            "/status/503: gave up in attempt 3: status 503"));
    const std::string retry = "http://127.0.0.1:[0-9]+/";
    const std::string first = ": status 503; again in 0.[23][0-9] s";
    const std::string second = ": status 503; again in 0.[45][0-9] s";
    EXPECT_THAT(sorted_lines(example.error_output()),
                ElementsAre(MatchesRegex(retry + "flaky/1" + first), MatchesRegex(retry + "flaky/2" + first),
                            MatchesRegex(retry + "flaky/2" + second), MatchesRegex(retry + "status/503" + first),
                            MatchesRegex(retry + "status/503" + second)));
}

TEST(examples, the_scraper_finds_every_page_and_names_the_url_that_is_none) {
    program example("scraper", {});
    EXPECT_EQ(example.wait(), 0) << example.error_output();
    const std::string page = "http://127.0.0.1:[0-9]+/pages/";
    // The four pages take half a second each: 2 s, one after the other.
    EXPECT_THAT(sorted_lines(example.output()),
                ElementsAre(MatchesRegex("5 URLs in [01].[0-9]+ s"), MatchesRegex(page + "1000: 200, 1000 bytes"),
                            MatchesRegex(page + "2000: 200, 2000 bytes"), MatchesRegex(page + "3000: 200, 3000 bytes"),
                            MatchesRegex(page + "40: 200, 40 bytes"),
                            MatchesRegex("nowhere://: malformed URL 'nowhere://': .*")));
}

TEST(examples, the_shared_transform_copies_no_numbers) {
    expect_output("shared_transform", "sum 5916001.7, of what is in the array here 5916001.7\n");
}

TEST(examples, the_sqlite_workers_insert_all_their_rows) {
    program example("sqlite_workers", {});
    EXPECT_EQ(example.wait(), 0) << example.error_output();
    EXPECT_EQ(example.output(), "40 rows from 4 threads\n");
}

TEST(examples, the_echo_server_answers_five_clients_at_once) {
    program example("echo_server", {});
    EXPECT_EQ(example.wait(), 0) << example.error_output();
    std::vector<std::string> expected{"server stopped"};
    for (int i = 4; i >= 0; --i) {
        const std::string number = std::to_string(i);
        expected.insert(expected.begin(), "[server] received: Hello from client " + number);
        expected.insert(expected.begin(), "[client " + number + "] received: Echo: Hello from client " + number);
    }
    std::sort(expected.begin(), expected.end());
    EXPECT_EQ(sorted_lines(example.output()), expected);
    EXPECT_TRUE(example.output().ends_with("server stopped\n"));
}

TEST(examples, the_tls_echo_is_trusted_by_one_client_and_not_by_the_other) {
    certificates made;
    const auto own = made.issue("DNS:localhost");
    program example("tls_echo", {made.authority_file(), own.certificate, own.key});
    EXPECT_EQ(example.wait(), 0) << example.error_output();
    EXPECT_THAT(example.output(),
                MatchesRegex("TLSv1.3 with CN = test 2\nhello\nTLS with localhost .127.0.0.1:[0-9]+.: the certificate "
                             "is refused: unable to get local issuer certificate\n"));
}

TEST(examples, the_connection_goes_over_to_tls) {
    certificates made;
    const auto own = made.issue("DNS:localhost");
    program example("start_tls", {made.authority_file(), own.certificate, own.key});
    EXPECT_EQ(example.wait(), 0) << example.error_output();
    EXPECT_EQ(example.output(), "go ahead\nTLSv1.3\nheard: a secret\n");
}

TEST(examples, the_subprocesses_get_their_input_and_give_their_output) {
    program example("subprocess_sort", {});
    EXPECT_EQ(example.wait(), 0) << example.error_output();
    EXPECT_EQ(example.output(),
              "sorted:\n1\n9\n10\ncounted: 1000000\nexit code 3, signal 15\n"
              "run no-such-program: No such file or directory\n");
}

TEST(examples, the_graceful_stop_finishes_what_it_has_begun) {
    for (const int signal : {SIGTERM, SIGINT}) {
        program example("graceful_stop", {});
        EXPECT_TRUE(example.wait_for_error_text("serving"));
        example.send(signal);
        EXPECT_EQ(example.wait(), 0) << example.error_output();
        EXPECT_THAT(sorted_lines(example.output()),
                    ElementsAre(signal == SIGTERM ? "SIGTERM: no more jobs" : "SIGINT: no more jobs", "job 1 is done",
                                "job 2 is done", "job 3 is done", "stopped"));
    }
}

TEST(examples, the_udp_echo_answers) {
    program example("udp_echo", {});
    EXPECT_EQ(example.wait(), 0) << example.error_output();
    EXPECT_EQ(example.output(), "hello\n\ngood bye\nConnection refused\n");
}

tercet::asyncio::coro<std::string> output_of_line_numbers(std::vector<std::string> arguments, std::string input) {
    using tercet::asyncio::stdio;
    auto child = tercet::asyncio::create_subprocess_exec(path_of("line_numbers"), std::move(arguments),
                                                         {.stdin_ = stdio::pipe, .stdout_ = stdio::pipe});
    const auto output = co_await child.communicate(std::move(input));
    EXPECT_EQ(child.returncode(), 0);
    co_return output.stdout_;
}

TEST(examples, the_line_numbers_read_the_standard_input_and_files) {
    const std::string numbered = "  1  one\n  2  \n  3  three";
    EXPECT_EQ(tercet::asyncio::run(output_of_line_numbers({}, "one\n\nthree\n")), numbered + "\n3 lines\n");
    EXPECT_EQ(tercet::asyncio::run(output_of_line_numbers({"/dev/null"}, "")), "0 lines\n");
}

TEST(examples, of_what_tasks_wait_in_print_what_they_say) {
    const std::vector<std::pair<const char*, std::string>> outputs{
        {"async_barrier",
         "phase 1: 3 of 3 have finished\nphase 2: 3 of 3 have finished\nphase 3: 3 of 3 have finished\n"},
        {"async_condition", "30 degrees: enough for 20\n60 degrees: enough for 50\n90 degrees: enough for 80\n"},
        {"async_event",
         "runner 1 is ready\nrunner 2 is ready\nrunner 3 is ready\ngo\nrunner 1 runs\nrunner 2 runs\nrunner 3 runs\n"},
        {"async_lifo_queue", "1024 leaves\n"},
        {"async_lock", "100\n"},
        {"async_priority_queue", "0 put out the fire\n1 answer the phone\n2 write the report\n2 sort the mail\n"},
        {"async_queue", "the sum of 1 to 100 is 5050\n"},
        {"async_semaphore", "one release too many\nat most 3 at once\n"},
        {"between_threads", "a thread has added: 500000500000\nthe loop has answered: 42\ntoo slow\n"},
        {"capacity_limiter", "no more than 2: yes\nno more than 4: yes\n"},
        {"memory_channel", "the sum of the squares of 1 to 10 is 385\n"},
        {"simulated_network",
         "attempt 1: nothing came\nattempt 2: nothing came\nattempt 3: nothing came\nattempt 4: nothing came\n"
         "attempt 5: nothing came\nattempt 6: nothing came\nattempt 7: hello after 3843.1 s\n"},
        {"unix_file", "1000000 bytes\n0 bytes\n"},
        {"per_core", "100 answers\n"},
        {"thread_to_tasks", "sum 31375\nsum 125250\nsum 281625\nsum 500500\nend\n"},
    };
    for (const auto& [name, output] : outputs) {
        program example(name, {});
        EXPECT_EQ(example.wait(), 0) << name << "\n" << example.error_output();
        EXPECT_EQ(example.output(), output) << name;
    }
}

TEST(examples, the_bounded_fetch_keeps_its_bound) {
    program example("bounded_fetch", {});
    EXPECT_EQ(example.wait(), 0) << example.error_output();
    std::string expected;
    for (std::size_t i = 1; i <= 12; ++i) expected += std::string(i, 'x') + ": " + std::to_string(i) + "\n";
    EXPECT_EQ(example.output(), expected + "at most 3 at once\n");
}

}  // namespace
