// Each allocation of a small program fails in turn, in the process that gives the work: it ends with std::bad_alloc, or
// does what it was to do, and the next run works.

#include <tercet/multiprocessing.hpp>

#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <memory>
#include <numeric>
#include <stdexcept>
#include <string>
#include <vector>

#include "failing_memory.hpp"

namespace tercet::multiprocessing {
namespace {

using namespace std::chrono_literals;
using failing_memory::require;

int square(int x) { return x * x; }
std::size_t size_of(const std::vector<double>& numbers) { return numbers.size(); }
std::vector<double> doubled(std::vector<double> numbers) {
    for (double& each : numbers) each *= 2;
    return numbers;
}
/// Sends the standard error along.
struct with_descriptor {
    unique_fd received{};

    template <class Archive>
    void serialize(Archive& archive) {
        if constexpr (Archive::is_saving)
            archive.write_descriptor(STDERR_FILENO);
        else
            received = archive.read_descriptor();
    }
};
void kill_the_fork_server_and_stay() {
    ::kill(::getppid(), SIGKILL);
    for (;;) ::pause();
}
void refuse() { throw std::out_of_range("refused"); }
void answer(connection line) {
    const int asked = line.recv<int>(10s);
    line.send(2 * asked);
}

void use(process_pool_executor& pool) {
    auto one = pool.submit(&square, 7);
    auto big = pool.submit(&doubled, std::vector<double>(100'000, 1.0));
    auto named = pool.submit(submit_options{.timeout = 10s, .name = "named"}, &size_of, std::vector<double>(10, 1.0));
    auto refused = pool.submit(&refuse);
    require(one.result(10s) == 49, "a wrong square");
    require(big.result(10s).at(99'999) == 2.0, "wrong numbers");
    require(named.result(10s) == 10, "a wrong size");
    bool is_refused = false;
    try {
        refused.result(10s);
    } catch (const std::out_of_range&) {
        is_refused = true;
    }
    require(is_refused, "no error");
    std::vector<int> numbers(100);
    std::iota(numbers.begin(), numbers.end(), 0);
    int sum = 0;
    for (const int each : pool.map(&square, numbers)) sum += each;
    require(sum == 328'350, "a wrong sum");
}

}  // namespace

TEST(no_memory, a_pool_that_is_used) {
    process_pool_executor pool(2);
    failing_memory::at_each_allocation([&] { use(pool); });
}

TEST(no_memory, a_pool_that_begins_and_ends) {
    failing_memory::at_each_allocation([&] {
        process_pool_executor pool(2);
        require(pool.submit(&square, 7).result(10s) == 49, "a wrong square");
    });
}

TEST(no_memory, a_pool_whose_fork_server_is_killed) {
    failing_memory::at_each_allocation([&] {
        process_pool_executor pool(1);
        auto work = pool.submit(&kill_the_fork_server_and_stay);
        bool has_failed = false;
        try {
            work.result(10s);
        } catch (const worker_died&) {
            has_failed = true;
        }
        require(has_failed, "the call outlived its worker");
    });
}

TEST(no_memory, a_pool_with_the_names_of_python) {
    multiprocessing::pool workers(2);
    std::vector<int> numbers(20);
    std::iota(numbers.begin(), numbers.end(), 0);
    failing_memory::at_each_allocation([&] {
        int sum = 0;
        for (const int each : workers.imap_unordered(&square, numbers, 3)) sum += each;
        for (const int each : workers.imap(&square, numbers, 3)) sum += each;
        for (const int each : workers.map(&square, numbers)) sum += each;
        require(sum == 3 * 2'470, "a wrong sum");
    });
}

TEST(no_memory, processes_and_pipes) {
    failing_memory::at_each_allocation([&] {
        auto [mine, theirs] = multiprocessing::pipe();
        process child(&answer, std::move(theirs));
        child.start();
        mine.send(21);
        const int got = mine.recv<int>(10s);
        require(got == 42, "a wrong answer");
        child.join(10s);
        require(child.exitcode() == 0, "the child failed");
    });
}

TEST(no_memory, a_message_that_could_not_be_received_and_the_next_one) {
    failing_memory::at_each_allocation([&] {
        auto [left, right] = multiprocessing::pipe();
        left.send(with_descriptor{});
        left.send(7);
        try {
            right.recv<with_descriptor>(10s);
        } catch (const std::bad_alloc&) {  // gone
        }
        require(right.recv<int>(10s) == 7, "not the next message");
    });
}

TEST(no_memory, what_processes_share) {
    failing_memory::at_each_allocation([&] {
        queue<std::string> texts(10);
        texts.put(std::string(100, 'x'));
        require(texts.get(10s) == std::string(100, 'x'), "not what was put");
        shared_array<double> numbers(1000);
        numbers.span()[7] = 1;
        value<int> counter(3);
        lock mutex;
        const std::scoped_lock guard(mutex);
    });
}

TEST(no_memory, what_a_manager_keeps) {
    manager kept;
    failing_memory::at_each_allocation([&] {
        auto items = kept.list<std::string>();
        items.append(std::string(100, 'x'));
        require(items.size() == 1, "a wrong size");
        require(items.get(0) == std::string(100, 'x'), "not what was put");
    });
}

}  // namespace tercet::multiprocessing
