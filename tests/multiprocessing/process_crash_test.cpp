// What a pool can say about a worker that crashed.

#include <tercet/multiprocessing.hpp>

#include <elf.h>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "multiprocessing/read_crash_record.hpp"
#include "multiprocessing/symbol_table.hpp"
#include "sanitizers.hpp"
#include "temporary_folder.hpp"

namespace tercet::multiprocessing {

// Not in an unnamed namespace, and not inlined: the tests look for these names.

[[gnu::noinline]] int write_to(std::uintptr_t address) {
    *reinterpret_cast<volatile int*>(address) = 1;
    return 1;
}
[[gnu::noinline]] int fall_deeper(int level) {
    volatile char room[4096]{};  // NOLINT(modernize-avoid-c-arrays): volatile, so that it is there
    room[level % 4096] = 1;
    return level < 0 ? 0 : fall_deeper(level + 1) + room[0];
}
[[gnu::noinline]] int divide(int by) {
    volatile int divisor = by;
    return 7 / divisor;
}
[[gnu::noinline]] void give_up() { std::abort(); }
void throw_far() { throw std::logic_error("too far"); }
[[gnu::noinline]] void throw_too_far() noexcept { throw_far(); }
[[gnu::noinline]] int read_behind_the_end(const std::string& path) {
    const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    void* const memory = ::mmap(nullptr, 4096, PROT_READ, MAP_SHARED, file, 0);
    return *static_cast<volatile char*>(memory);
}

namespace {

using testing::HasSubstr;
using testing::StartsWith;

bool no_core = [] {
    const rlimit none{0, 0};
    ::setrlimit(RLIMIT_CORE, &none);
    return true;
}();

template <class T>
worker_died death_of(future<T> failed) {
    try {
        failed.result();
    } catch (const worker_died& death) {
        return death;
    }
    throw std::logic_error("the call did not fail");
}

class process_crash : public testing::Test {
protected:
    process_pool_executor pool{1};
};

class process_crash_by_signal : public process_crash {
protected:
    void SetUp() override {
        if (is_under_address_sanitizer || is_under_thread_sanitizer)
            GTEST_SKIP() << "the sanitizer handles this signal itself";
    }
};

TEST_F(process_crash_by_signal, names_the_address_and_the_function) {
    const auto death = death_of(pool.submit(write_to, std::uintptr_t{0x10}));
    EXPECT_THAT(death.what(), HasSubstr("SIGSEGV (address 0x10 is not mapped, in "
                                        "tercet::multiprocessing::write_to(unsigned long))"));
    ASSERT_NE(death.crash(), nullptr);
    EXPECT_EQ(death.crash()->signal, SIGSEGV);
    EXPECT_EQ(death.crash()->code, SEGV_MAPERR);
    EXPECT_EQ(death.crash()->address, 0x10U);
    ASSERT_GE(death.crash()->frames.size(), 2U);
    EXPECT_THAT(death.crash()->frames[0].module, HasSubstr("tests"));
    EXPECT_NE(death.crash()->frames[0].offset, 0U);
    EXPECT_THAT(death.crash()->backtrace(), StartsWith("#0  tercet::multiprocessing::write_to(unsigned long) ("));
    EXPECT_EQ(pool.submit([] { return 3; }).result(), 3);
}

TEST_F(process_crash_by_signal, a_full_stack_is_told_of) {
    const auto death = death_of(pool.submit(fall_deeper, 0));
    EXPECT_EQ(death.signal(), SIGSEGV);
    ASSERT_NE(death.crash(), nullptr);
    EXPECT_THAT(death.crash()->function(), HasSubstr("fall_deeper"));
    EXPECT_GT(death.crash()->frames.size(), 40U);
}

TEST_F(process_crash_by_signal, a_division_by_zero_is_told_of) {
    const auto death = death_of(pool.submit(divide, 0));
    EXPECT_THAT(death.what(), HasSubstr("SIGFPE (division by zero, in tercet::multiprocessing::divide(int))"));
}

TEST_F(process_crash_by_signal, what_lies_behind_the_end_of_a_file_is_told_of) {
    const temporary_folder folder;
    const std::string path = folder.path() / "empty";
    std::ofstream(path).flush();
    const auto death = death_of(pool.submit(read_behind_the_end, path));
    EXPECT_EQ(death.signal(), SIGBUS);
    EXPECT_THAT(death.what(), HasSubstr("is behind the end of a file, in "));
    EXPECT_THAT(death.what(), HasSubstr("read_behind_the_end"));
}

TEST_F(process_crash_by_signal, a_call_of_nothing_is_told_of) {
    const auto call_nothing = [] { reinterpret_cast<void (*)()>(std::uintptr_t{8})(); };
    const auto death = death_of(pool.submit(call_nothing));
    EXPECT_THAT(death.what(), HasSubstr("SIGSEGV (address 0x8 is not mapped"));
}

TEST_F(process_crash_by_signal, a_crash_of_another_thread_of_the_call_is_told_of) {
    const auto in_a_thread = [] { std::thread(write_to, std::uintptr_t{0x20}).join(); };
    const auto death = death_of(pool.submit(in_a_thread));
    EXPECT_THAT(death.what(), HasSubstr("address 0x20 is not mapped, in tercet::multiprocessing::write_to"));
}

TEST_F(process_crash_by_signal, a_signal_that_was_sent_is_told_from_one_that_was_earned) {
    const auto shoot = [] { ::kill(::getpid(), SIGSEGV); };
    EXPECT_THAT(death_of(pool.submit(shoot)).what(), HasSubstr("SIGSEGV (sent by a process"));
}

TEST_F(process_crash_by_signal, each_worker_tells_of_itself) {
    for (const std::uintptr_t address : {0x10U, 0x20U, 0x30U})
        EXPECT_EQ(death_of(pool.submit(write_to, address)).crash()->address, address);
}

TEST_F(process_crash, an_abort_names_who_aborted) {
    const auto death = death_of(pool.submit(give_up));
    EXPECT_EQ(death.signal(), SIGABRT);
    ASSERT_NE(death.crash(), nullptr);
    EXPECT_THAT(death.crash()->backtrace(), HasSubstr("tercet::multiprocessing::give_up()"));
}

TEST_F(process_crash, an_exception_that_may_not_leave_names_the_function) {
    const auto death = death_of(pool.submit(throw_too_far));
    EXPECT_EQ(death.signal(), SIGABRT);
    ASSERT_NE(death.crash(), nullptr);
    EXPECT_THAT(death.crash()->backtrace(), HasSubstr("tercet::multiprocessing::throw_too_far()"));
}

TEST_F(process_crash, what_is_killed_or_exits_has_no_report) {
    EXPECT_EQ(death_of(pool.submit([] { ::raise(SIGKILL); })).crash(), nullptr);
    EXPECT_EQ(death_of(pool.submit([] { ::_exit(3); })).crash(), nullptr);
}

/// A static object of the program that handles a fatal signal in workers.
const bool has_own_handler = [] {
    if (in_worker()) std::signal(SIGSYS, [](int) { ::_exit(23); });
    return true;
}();

TEST_F(process_crash, handlers_of_the_program_are_left_to_it) {
    EXPECT_EQ(death_of(pool.submit([] { ::raise(SIGSYS); })).exit_code(), 23);
}

TEST(crash_record, what_a_broken_worker_wrote_is_bounded) {
    const auto record = std::make_unique<crash_record>();
    EXPECT_FALSE(read_crash_record(*record));
    record->is_written = 1;
    record->frame_count = 0xffffffff;
    record->module_count = 0xffffffff;
    for (auto& name : record->modules) name.fill('/');
    for (auto& frame : record->frames) frame = {0x1234, 3};
    record->frames[7].module = 0xffffffff;
    const auto report = read_crash_record(*record);
    ASSERT_TRUE(report);
    EXPECT_EQ(report->frames.size(), crash_record::most_frames);
    EXPECT_EQ(report->frames[0].module, std::string(crash_record::longest_name, '/'));
    EXPECT_EQ(report->frames[7].module, "");
}

TEST(symbol_table, of_what_is_no_elf_file_nothing_comes) {
    const temporary_folder folder;
    const std::string path = folder.path() / "file";
    EXPECT_EQ(symbol_table(path).function_at(1), "");
    EXPECT_EQ(symbol_table(folder.path()).function_at(1), "");
    std::ofstream(path) << "#!/bin/sh\n";
    EXPECT_EQ(symbol_table(path).function_at(1), "");
    std::ofstream(path) << std::string(1000, '\x7f');
    EXPECT_EQ(symbol_table(path).function_at(1), "");
    const std::string pipe = folder.path() / "pipe";
    ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
    EXPECT_EQ(symbol_table(pipe).function_at(1), "");  // and nobody waits for a writer
}

TEST(symbol_table, of_a_broken_elf_file_nothing_bad_comes) {
    std::ifstream whole("/bin/true", std::ios::binary);
    const std::string bytes((std::istreambuf_iterator<char>(whole)), std::istreambuf_iterator<char>());
    ASSERT_GT(bytes.size(), sizeof(Elf64_Ehdr));
    Elf64_Ehdr header;
    std::memcpy(&header, bytes.data(), sizeof header);
    ASSERT_LT(header.e_shoff, bytes.size());
    const temporary_folder folder;
    const std::string path = folder.path() / "file";
    std::mt19937 random(1);
    const auto below = [&random](std::size_t limit) {
        return std::uniform_int_distribution<std::size_t>(0, limit - 1)(random);
    };
    for (int round = 0; round < 2'000; ++round) {
        std::string broken = bytes;
        for (int i = 0; i < 3; ++i)  // in the headers of the sections, which lead to everything else
            broken[header.e_shoff + below(bytes.size() - header.e_shoff)] = static_cast<char>(below(256));
        if (round % 4 == 0) broken[16 + below(48)] = static_cast<char>(below(256));
        if (round % 4 == 1) broken.resize(below(broken.size()));
        std::ofstream(path, std::ios::binary) << broken;
        symbol_table(path).function_at(below(bytes.size()));
    }
}

TEST_F(process_crash_by_signal, a_breakpoint_kills_although_it_would_not_come_again) {
    const auto stop_here = [] { ::raise(SIGTRAP); };
    EXPECT_EQ(death_of(pool.submit(stop_here)).signal(), SIGTRAP);
#ifdef __x86_64__
    EXPECT_EQ(death_of(pool.submit([] { __asm__ volatile("int3"); })).signal(), SIGTRAP);
#endif
}

/// A process of its own in a control group that may have little memory.
TEST(process_crash_for_want_of_memory, is_told_from_other_kills) {
    const std::filesystem::path root = "/sys/fs/cgroup/memory";
    const auto group = root / ("tercet-test-" + std::to_string(::getpid()));
    std::error_code error;
    std::filesystem::create_directory(group, error);
    if (error) GTEST_SKIP() << "no control group can be made here: " << error.message();
    const pid_t child = ::fork();
    if (child == 0) {
        if (!(std::ofstream(group / "memory.limit_in_bytes") << (300 << 20)).flush()) ::_exit(77);
        if (!(std::ofstream(group / "cgroup.procs") << ::getpid()).flush()) ::_exit(77);
        const auto eat = [] { return std::string(std::size_t{1} << 30U, 'x').size(); };
        std::string text;
        {
            process_pool_executor pool(1);
            text = death_of(pool.submit(eat)).what();
        }
        terminate_all();
        ::_exit(text.find("SIGKILL (there was no memory left") != text.npos ? 0 : 1);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    std::filesystem::remove(group, error);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77) GTEST_SKIP() << "the control group has no such limit";
    EXPECT_EQ(status, 0);
}

}  // namespace
}  // namespace tercet::multiprocessing
