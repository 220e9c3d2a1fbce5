#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <exception>

#include "compare.hpp"
#include "compare_options.hpp"
#include "httpbin.hpp"
#include "interrupt.hpp"
#include "terminal.hpp"
#include "usage_error.hpp"

namespace {

constexpr int status_failure = 1;
constexpr int status_usage = 2;

using namespace tercet::tools;

void add_options(CLI::App& compare, compare_arguments& to) {
    compare.add_option("workload", to.workloads, "What to run: io, cpu (default: both; with --url or --url-file: io)");
    compare
        .add_option("--model", to.models,
                    "Models to compare: sequential, threading, multiprocessing, asyncio (default: all)")
        ->delimiter(',');
    auto* const url =
        compare.add_option("--url", to.url, "io: fetch this URL instead of the embedded httpbin's /delay/1");
    compare.add_option("--url-file", to.url_file, "io: fetch the URLs of this file, one a line")->excludes(url);
    compare.add_option("--requests", to.requests,
                       "io: how many requests, over the URLs in turn (default: 5, or one for each URL of a file)");
    compare.add_option("--concurrency", to.concurrency, "io: how many requests at once (default: all, at most 50)");
    compare.add_option("--timeout", to.timeout_s, "io: seconds in which each answer must be complete")
        ->capture_default_str();
    compare.add_option("--below", to.below, "cpu: sum the square roots below this number, four times")
        ->capture_default_str();
    compare.add_option("--repeat", to.repeat, "How many times each model runs")->capture_default_str();
    compare.add_option("--json", to.json_path,
                       "Write the result to this file too (-: to standard output, instead of tables)");
}

void add_options(CLI::App& httpbin, httpbin_options& to) {
    httpbin.add_option("--host", to.host, "Address to listen on")->capture_default_str();
    httpbin.add_option("--port", to.port, "Port to listen on; 0: any free one")->capture_default_str();
    httpbin.add_flag("--until-eof", to.until_eof, "End when standard input does");
}

int run(int argc, char** argv) {
    CLI::App app("tercet measures which concurrency model a workload needs: threads, processes or coroutines.",
                 "tercet");
    app.set_version_flag("--version", std::string("tercet ") + TERCET_VERSION);
    app.require_subcommand(1);
    CLI::App* const compare_verb = app.add_subcommand(
        "compare", "Run the same work sequentially, in threads, in processes and in coroutines, side by side");
    compare_arguments arguments;
    add_options(*compare_verb, arguments);
    CLI::App* const httpbin_verb =
        app.add_subcommand("httpbin", "Serve the test endpoints of httpbin.org on this machine");
    httpbin_options server;
    add_options(*httpbin_verb, server);

    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        if (error.get_exit_code() == 0) return app.exit(error);  // --help, --version
        throw usage_error(error.what());
    }
    if (httpbin_verb->parsed()) return httpbin(server);

    const compare_options options = checked(arguments);
    // Its thread waits for signals until the program ends, so it must outlive everything.
    static interrupt& interrupts = *new interrupt;
    return compare(options, interrupts);
}

}  // namespace

int main(int argc, char** argv) {
    try {
        return run(argc, argv);
    } catch (const usage_error& error) {
        write_all(2, fmt::format("tercet: {}\n", error.what()));
        return status_usage;
    } catch (const std::exception& error) {
        write_all(2, fmt::format("tercet: {}\n", error.what()));
        return status_failure;
    }
}
