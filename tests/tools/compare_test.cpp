// `tercet compare` as a user meets it: the program is run, and what it prints, returns and leaves behind is looked at.

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <nlohmann/json.hpp>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "child_server.hpp"
#include "compare_run.hpp"
#include "program.hpp"
#include "sanitizers.hpp"

namespace {

using json = nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using namespace std::chrono_literals;
using tercet::tools::child_server;

/// A port of the loopback interface on which nobody listens: it was free a moment ago.
int free_port() {
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    ::bind(fd, reinterpret_cast<const sockaddr*>(&address), size);
    ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
    ::close(fd);
    return ntohs(address.sin_port);
}

/// A server that takes one request after another, and closes in the middle of each answer.
class rude_server {
public:
    rude_server() {
        fd_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t size = sizeof address;
        ::bind(fd_, reinterpret_cast<const sockaddr*>(&address), size);
        ::listen(fd_, 64);
        ::getsockname(fd_, reinterpret_cast<sockaddr*>(&address), &size);
        url = "http://127.0.0.1:" + std::to_string(ntohs(address.sin_port)) + "/";
        thread_ = std::thread([this] {
            for (;;) {
                const int client = ::accept4(fd_, nullptr, nullptr, SOCK_CLOEXEC);
                if (client < 0) return;
                char request[2048];
                [[maybe_unused]] const auto got = ::recv(client, request, sizeof request, 0);
                const std::string answer = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n0123456789";
                [[maybe_unused]] const auto sent = ::send(client, answer.data(), answer.size(), MSG_NOSIGNAL);
                ::close(client);
            }
        });
    }
    ~rude_server() {
        ::shutdown(fd_, SHUT_RDWR);
        thread_.join();
        ::close(fd_);
    }
    std::string url;

private:
    int fd_;
    std::thread thread_;
};

std::string temporary_file(const std::string& name, const std::string& content = {}) {
    const auto path = std::filesystem::path(testing::TempDir()) / (std::to_string(::getpid()) + "-" + name);
    std::ofstream(path) << content;
    return path;
}

struct outcome {
    int status;
    std::string output;
    std::string error_output;
};

outcome compare(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), "compare");
    program tercet("tercet", arguments);
    const int status = tercet.wait();
    return {status, tercet.output(), tercet.error_output()};
}

/// What a command of the shell prints, and its exit status.
outcome shell(const std::string& command) {
    std::FILE* const pipe = ::popen(command.c_str(), "r");
    std::string text;
    for (int next = std::fgetc(pipe); next != EOF; next = std::fgetc(pipe)) text += static_cast<char>(next);
    const int status = ::pclose(pipe);
    return {WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), text, {}};
}

/// `tercet compare` with a terminal as standard output and standard error.
outcome compare_on_a_terminal(std::vector<std::string> arguments, std::vector<std::string> environment) {
    const int terminal = ::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    ::grantpt(terminal);
    ::unlockpt(terminal);
    posix_spawn_file_actions_t files;
    ::posix_spawn_file_actions_init(&files);
    ::posix_spawn_file_actions_addopen(&files, STDOUT_FILENO, ::ptsname(terminal), O_WRONLY | O_NOCTTY, 0);
    ::posix_spawn_file_actions_adddup2(&files, STDOUT_FILENO, STDERR_FILENO);
    arguments.insert(arguments.begin(), {path_of("tercet"), "compare"});
    std::vector<char*> argv;
    for (auto& each : arguments) argv.push_back(each.data());
    argv.push_back(nullptr);
    std::vector<char*> envp;
    for (auto& each : environment) envp.push_back(each.data());
    envp.push_back(nullptr);
    pid_t pid = 0;
    EXPECT_EQ(::posix_spawn(&pid, argv[0], &files, nullptr, argv.data(), envp.data()), 0);
    ::posix_spawn_file_actions_destroy(&files);
    outcome result{};
    std::array<char, 4096> part{};
    for (ssize_t count = 0; (count = ::read(terminal, part.data(), part.size())) > 0;)
        result.output.append(part.data(), static_cast<std::size_t>(count));
    ::close(terminal);
    ::waitpid(pid, &result.status, 0);
    return result;
}

/// The rows of the only workload in a result.
json rows_of(const outcome& result) { return json::parse(result.output)["workloads"][0]["rows"]; }

std::vector<std::string> models_of(const json& workload) {
    std::vector<std::string> names;
    for (const auto& row : workload["rows"]) names.push_back(row["model"]);
    return names;
}

TEST(compare, runs_both_workloads_in_all_models_and_writes_json) {
    const std::string path = temporary_file("result.json");
    child_server httpbin(path_of("tercet"));
    const auto io = compare({"io", "--url", httpbin.url() + "/delay/0.2", "--repeat", "1", "--json", path});
    EXPECT_EQ(io.status, 0) << io.error_output;
    EXPECT_THAT(io.output, HasSubstr("5 × 200"));
    const json result = json::parse(std::ifstream(path));
    EXPECT_EQ(result["version"], 1);
    EXPECT_GE(result["machine"]["usable_cpus"], 1);
    ASSERT_EQ(result["workloads"].size(), 1U);
    const json& workload = result["workloads"][0];
    EXPECT_EQ(workload["name"], "io");
    EXPECT_THAT(models_of(workload), ElementsAre("sequential", "threading", "multiprocessing", "asyncio"));
    for (const auto& row : workload["rows"]) {
        EXPECT_EQ(row["ok"], 5);
        EXPECT_EQ(row["failed"], 0);
        EXPECT_EQ(row["results"], json({200, 200, 200, 200, 200}));
        EXPECT_GE(row["wall_s"]["median"], row["model"] == "sequential" ? 1.0 : 0.2);
        EXPECT_LE(row["wall_s"]["min"], row["wall_s"]["max"]);
        EXPECT_GT(row["cpu_s"], 0.0);
        EXPECT_GT(row["peak_rss_bytes"], 1'000'000);
    }
    EXPECT_EQ(workload["rows"][0]["speedup"], 1.0);
    EXPECT_EQ(workload["rows"][1]["workers"], 5);
    EXPECT_EQ(workload["rows"][3]["workers"], 1);
    EXPECT_NE(workload["fastest"], "sequential");
    std::filesystem::remove(path);
}

TEST(compare, every_model_computes_the_same_sum) {
    const auto cpu = compare({"cpu", "--below", "1000000", "--repeat", "2", "--json", "-"});
    EXPECT_EQ(cpu.status, 0) << cpu.error_output;
    const json workload = json::parse(cpu.output)["workloads"][0];
    EXPECT_EQ(workload["name"], "cpu");
    ASSERT_EQ(workload["rows"].size(), 4U);
    for (const auto& row : workload["rows"]) {
        ASSERT_EQ(row["results"].size(), 4U);
        for (const auto& value : row["results"]) EXPECT_NEAR(value, 666'666'166.4588, 1e-3);
    }
}

TEST(compare, runs_only_the_models_that_were_asked_for) {
    const auto cpu =
        compare({"cpu", "--below", "1000", "--model", "threading,asyncio", "--repeat", "1", "--json", "-"});
    EXPECT_EQ(cpu.status, 0) << cpu.error_output;
    const json workload = json::parse(cpu.output)["workloads"][0];
    EXPECT_THAT(models_of(workload), ElementsAre("threading", "asyncio"));
    EXPECT_TRUE(workload["rows"][0]["speedup"].is_null());
}

TEST(compare, without_a_terminal_prints_plain_lines) {
    const auto cpu = compare({"cpu", "--below", "1000", "--repeat", "1"});
    EXPECT_THAT(cpu.error_output, HasSubstr("cpu: threading, run 1 of 1\n"));
    EXPECT_THAT(cpu.error_output, Not(HasSubstr("\x1b")));
    EXPECT_THAT(cpu.output, Not(HasSubstr("\x1b")));
    EXPECT_THAT(cpu.output, HasSubstr("is fastest"));
}

TEST(compare, on_a_terminal_shows_a_bar_and_the_fastest_in_bold) {
    const std::vector<std::string> arguments{"cpu", "--below", "1000", "--repeat", "1"};
    const auto cpu = compare_on_a_terminal(arguments, {"TERM=xterm"});
    EXPECT_EQ(cpu.status, 0);
    EXPECT_THAT(cpu.output, HasSubstr("\r\x1b[K[" + std::string(30, '#') + "] 100%  cpu: asyncio, run 1 of 1"));
    EXPECT_THAT(cpu.output, HasSubstr("\x1b[1mcpu\x1b[0m"));
}

TEST(compare, no_color_keeps_colors_off_a_terminal) {
    const auto cpu = compare_on_a_terminal({"cpu", "--below", "1000", "--repeat", "1"}, {"TERM=xterm", "NO_COLOR=1"});
    EXPECT_THAT(cpu.output, HasSubstr("100%"));
    EXPECT_THAT(cpu.output, Not(HasSubstr("\x1b[1m")));
}

TEST(compare, output_that_cannot_be_written_is_status_1_and_said) {
    for (const char* const form : {"", " --json -"}) {
        const auto cpu = shell(path_of("tercet") + " compare cpu --below 1000 --repeat 1" + form + " 2>&1 >/dev/full");
        EXPECT_EQ(cpu.status, 1);
        EXPECT_THAT(cpu.output, HasSubstr("tercet: standard output: No space left on device\n"));
    }
}

TEST(compare, requests_go_over_the_urls_of_a_file_in_turn) {
    child_server httpbin(path_of("tercet"));
    const std::string path = temporary_file(
        "urls.txt", "# statuses\n\n" + httpbin.url() + "/status/200\n  " + httpbin.url() + "/status/404\r\n");
    const auto io =
        compare({"--url-file", path, "--requests", "5", "--concurrency", "2", "--repeat", "1", "--json", "-"});
    EXPECT_EQ(io.status, 0) << io.error_output;
    for (const auto& row : rows_of(io)) EXPECT_EQ(row["results"], json({200, 404, 200, 404, 200}));
    std::filesystem::remove(path);
}

TEST(compare, a_port_where_nothing_listens_is_a_row_and_status_1) {
    const std::string place = "127.0.0.1:" + std::to_string(free_port());
    const auto io = compare({"--url", "http://" + place + "/", "--requests", "2", "--repeat", "1"});
    EXPECT_EQ(io.status, 1);
    for (const char* model : {"sequential", "threading", "multiprocessing", "asyncio"})
        EXPECT_THAT(io.output, HasSubstr(model));
    EXPECT_THAT(io.output, HasSubstr("2 × error: connect " + place + ": Connection refused"));
    const auto count = [&](const std::string& text) {
        std::size_t found = 0;
        for (auto at = io.output.find(text); at != std::string::npos; at = io.output.find(text, at + 1)) ++found;
        return found;
    };
    EXPECT_EQ(count("Connection refused"), 4U);
}

TEST(compare, a_name_that_does_not_resolve_is_a_row_and_status_1) {
    const auto io = compare(
        {"--url", "http://nosuch.invalid/", "--requests", "1", "--repeat", "1", "--timeout", "30", "--json", "-"});
    EXPECT_EQ(io.status, 1);
    for (const auto& row : rows_of(io)) {
        EXPECT_EQ(row["failed"], 1);
        EXPECT_THAT(row["results"][0].get<std::string>(), HasSubstr("error: resolve nosuch.invalid: "));
    }
}

TEST(compare, a_server_that_closes_in_the_middle_is_a_row_and_status_1) {
    rude_server server;
    const auto io = compare({"--url", server.url, "--requests", "2", "--repeat", "1", "--json", "-"});
    EXPECT_EQ(io.status, 1);
    for (const auto& row : rows_of(io)) {
        EXPECT_EQ(row["failed"], 2);
        EXPECT_THAT(row["results"][0].get<std::string>(), HasSubstr("closed the connection after 10 of 100 bytes"));
    }
}

TEST(compare, an_answer_slower_than_the_timeout_is_a_row_and_status_1) {
    child_server httpbin(path_of("tercet"));
    const auto io = compare(
        {"--url", httpbin.url() + "/delay/5", "--requests", "2", "--timeout", "0.2", "--repeat", "1", "--json", "-"});
    EXPECT_EQ(io.status, 1);
    for (const auto& row : rows_of(io)) {
        EXPECT_EQ(row["failed"], 2);
        EXPECT_THAT(row["results"][0].get<std::string>(), HasSubstr("no complete response within 0.2 s"));
    }
}

TEST(compare, a_request_that_waits_for_its_turn_does_not_time_out) {
    child_server httpbin(path_of("tercet"));
    const auto io = compare({"--url", httpbin.url() + "/delay/0.5", "--requests", "4", "--concurrency", "1",
                             "--timeout", "1.5", "--repeat", "1", "--model", "threading,asyncio", "--json", "-"});
    EXPECT_EQ(io.status, 0);
    for (const auto& row : rows_of(io)) EXPECT_EQ(row["results"], json({200, 200, 200, 200})) << row["model"];
}

TEST(compare, what_a_pool_refuses_is_a_failed_item) {
    if (is_under_address_sanitizer) GTEST_SKIP() << "UBSan itself opens a pipe, and takes a failure for an error";
    rlimit before{};
    ::getrlimit(RLIMIT_NOFILE, &before);
    rlimit none = before;
    none.rlim_cur = 0;
    ::setrlimit(RLIMIT_NOFILE, &none);
    std::size_t done = 0;
    std::vector<tercet::tools::item_result> items;
    EXPECT_NO_THROW(items = run(tercet::tools::model::multiprocessing,
                                std::vector<tercet::tools::square_roots>(4, {.below = 10}), 2, [&] { ++done; })
                                .items);
    ::setrlimit(RLIMIT_NOFILE, &before);
    EXPECT_EQ(done, 4U);
    ASSERT_EQ(items.size(), 4U);
    for (const auto& each : items) EXPECT_THAT(each.error, HasSubstr("Too many open files"));
}

TEST(compare, one_failing_url_leaves_the_others_alone) {
    child_server httpbin(path_of("tercet"));
    const std::string dead = "http://127.0.0.1:" + std::to_string(free_port()) + "/";
    const std::string path = temporary_file("mixed.txt", httpbin.url() + "/get\n" + dead + "\n");
    const auto io = compare({"--url-file", path, "--repeat", "1", "--json", "-"});
    EXPECT_EQ(io.status, 1);
    for (const auto& row : rows_of(io)) {
        EXPECT_EQ(row["ok"], 1);
        EXPECT_EQ(row["failed"], 1);
        EXPECT_EQ(row["results"][0], 200);
    }
    std::filesystem::remove(path);
}

struct bad_usage {
    std::vector<std::string> arguments;
    std::string message;
};

TEST(compare, bad_usage_is_status_2_and_one_line_that_names_it) {
    const std::string urls = temporary_file("bad.txt", "http://127.0.0.1/\nht!tp:/x\n");
    const std::string empty = temporary_file("empty.txt", "# nothing\n");
    for (const auto& each : std::vector<bad_usage>{
             {{"disk"}, "unknown workload 'disk'; there are io and cpu"},
             {{"--model", "fibers"},
              "unknown model 'fibers'; there are sequential, threading, multiprocessing and asyncio"},
             {{"--url", "ht!tp:/x"}, "ht!tp:/x"},
             {{"--url", "ftp://127.0.0.1/"}, "ftp://127.0.0.1/"},
             {{"--url-file", "/nonexistent/urls"}, "--url-file /nonexistent/urls: No such file or directory"},
             {{"--url-file", urls}, urls + ":2: "},
             {{"--url-file", empty}, "no URL in it"},
             {{"--url-file", testing::TempDir()}, "--url-file"},
             {{"cpu", "--json", "/"}, "--json /: Is a directory"},
             {{"cpu", "--json", "/nonexistent/result"}, "--json /nonexistent/result: No such file or directory"},
             {{"--timeout", "0"}, "--timeout 0: a positive number of seconds"},
             {{"--timeout", "nan"}, "--timeout nan: a positive number of seconds"},
             {{"--repeat", "0"}, "--repeat 0: at least 1"},
             {{"--concurrency", "5000", "--requests", "5000"}, "--concurrency 5000: at most 1000"},
             {{"--requests", "-1"}, "--requests"},
             {{"--frobnicate"}, "--frobnicate"},
         }) {
        const auto result = compare(each.arguments);
        EXPECT_EQ(result.status, 2) << each.message << "\n" << result.error_output;
        EXPECT_THAT(result.error_output, HasSubstr(each.message));
        EXPECT_TRUE(result.error_output.starts_with("tercet: ")) << result.error_output;
        EXPECT_EQ(std::ranges::count(result.error_output, '\n'), 1) << result.error_output;
        EXPECT_EQ(result.output, "");
    }
    std::filesystem::remove(urls);
    std::filesystem::remove(empty);
}

/// Looks until `condition` holds or too much time has passed.
template <class Condition>
bool soon(Condition condition, std::chrono::seconds limit = 10s) {
    const auto deadline = std::chrono::steady_clock::now() + limit;
    while (std::chrono::steady_clock::now() < deadline) {
        if (condition()) return true;
        std::this_thread::yield();
    }
    return false;
}

bool all_gone(const std::vector<pid_t>& processes) {
    return std::ranges::none_of(processes, [](pid_t each) { return is_alive(each); });
}

/// The worker of a pool that computes: of those that the fork server has started, the one that has used most of a CPU.
pid_t busy_worker_of(pid_t program) {
    std::vector<pid_t> processes;
    for (const pid_t child : descendants_of(program))
        for (const pid_t worker : descendants_of(child)) processes.push_back(worker);
    pid_t busiest = -1;
    std::uint64_t most = 0;
    for (const pid_t each : processes) {
        std::ifstream file("/proc/" + std::to_string(each) + "/schedstat");
        std::uint64_t run = 0;
        if (file >> run && run > most) {
            most = run;
            busiest = each;
        }
    }
    return most > 20'000'000 ? busiest : -1;
}

TEST(compare, a_worker_that_is_killed_costs_one_item_and_is_named) {
    program tercet("tercet", {"compare", "cpu", "--model", "multiprocessing", "--below", "300000000", "--repeat", "1"});
    pid_t worker = -1;
    ASSERT_TRUE(soon([&] { return (worker = busy_worker_of(tercet.pid())) > 0; }, 60s));
    ASSERT_EQ(::kill(worker, SIGKILL), 0);
    EXPECT_EQ(tercet.wait(), 1);
    EXPECT_THAT(tercet.output(), HasSubstr("1 × error: "));
    EXPECT_THAT(tercet.output(), HasSubstr("SIGKILL"));
    EXPECT_THAT(tercet.output(), HasSubstr("pid " + std::to_string(worker)));
    EXPECT_THAT(tercet.output(), HasSubstr("3 × "));
}

TEST(compare, killed_itself_it_leaves_no_process_behind) {
    program tercet("tercet", {"compare", "--model", "multiprocessing", "--repeat", "1000", "--below", "1000000000"});
    std::vector<pid_t> children;
    // The embedded server, the fork server and two workers at least.
    ASSERT_TRUE(soon([&] { return (children = descendants_of(tercet.pid())).size() >= 4; }, 60s));
    tercet.send(SIGKILL);
    const auto killed = std::chrono::steady_clock::now();
    EXPECT_TRUE(soon([&] { return all_gone(children); }));
    EXPECT_LT(std::chrono::steady_clock::now() - killed, 2s);
}

TEST(compare, ctrl_c_stops_at_once_prints_what_is_done_and_leaves_no_process_behind) {
    program tercet("tercet", {"compare", "io", "cpu", "--model", "sequential,multiprocessing", "--requests", "1",
                              "--repeat", "1", "--below", "100000000000"});
    ASSERT_TRUE(tercet.wait_for_error_text("cpu: sequential"));
    const auto children = descendants_of(tercet.pid());
    EXPECT_FALSE(children.empty());
    tercet.send(SIGINT);
    const auto sent = std::chrono::steady_clock::now();
    EXPECT_EQ(tercet.wait(), 128 + SIGINT);
    EXPECT_LT(std::chrono::steady_clock::now() - sent, 1s);
    EXPECT_THAT(tercet.error_output(), HasSubstr("interrupted; what is done:"));
    EXPECT_THAT(tercet.output(), HasSubstr("1 × 200"));
    EXPECT_TRUE(all_gone(children));
}

TEST(compare, ctrl_c_ends_workers_that_compute) {
    program tercet("tercet", {"compare", "cpu", "--model", "multiprocessing", "--below", "100000000000"});
    ASSERT_TRUE(soon([&] { return busy_worker_of(tercet.pid()) > 0; }, 60s));
    const auto children = descendants_of(tercet.pid());
    tercet.send(SIGINT);
    const auto sent = std::chrono::steady_clock::now();
    EXPECT_EQ(tercet.wait(), 128 + SIGINT);
    EXPECT_LT(std::chrono::steady_clock::now() - sent, 1s);
    EXPECT_TRUE(all_gone(children));
}

/// More than a pipe takes, which nobody reads.
std::vector<std::string> much_output() {
    return {"compare",    "--url",  "http://127.0.0.1:" + std::to_string(free_port()) + "/",
            "--requests", "1000",   "--repeat",
            "1",          "--json", "-"};
}

TEST(compare, ctrl_c_ends_it_also_when_nobody_reads_its_output) {
    program tercet("tercet", much_output());
    ASSERT_TRUE(soon([&] { return tercet.output_is_full(); }, 60s));
    tercet.send(SIGINT);
    EXPECT_TRUE(tercet.ends_within(10s));
    EXPECT_EQ(tercet.wait(), 128 + SIGINT);
}

TEST(compare, a_second_signal_ends_it_at_once) {
    program tercet("tercet", much_output());
    ASSERT_TRUE(soon([&] { return tercet.output_is_full(); }, 60s));
    tercet.send(SIGINT);
    EXPECT_TRUE(soon(
        [&] {
            tercet.send(SIGTERM);
            return tercet.ends_within(0s);
        },
        1s));
    EXPECT_EQ(tercet.wait(), 128 + SIGTERM);
}

TEST(httpbin, ends_when_its_input_is_a_file_that_ends) {
    const auto served = shell(path_of("tercet") + " httpbin --port 0 --until-eof </dev/null 2>&1");
    EXPECT_EQ(served.status, 0);
    EXPECT_THAT(served.output, testing::StartsWith("httpbin: listening on http://127.0.0.1:"));
    EXPECT_EQ(std::ranges::count(served.output, '\n'), 1) << served.output;
}

TEST(httpbin, prints_the_url_of_an_ipv6_address) {
    if (!std::filesystem::exists("/proc/net/if_inet6")) GTEST_SKIP() << "no IPv6 here";
    const auto served = shell(path_of("tercet") + " httpbin --host ::1 --port 0 --until-eof </dev/null 2>&1");
    EXPECT_THAT(served.output, testing::StartsWith("httpbin: listening on http://[::1]:"));
}

}  // namespace
