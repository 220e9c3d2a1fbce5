#include "interrupt.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <stdexcept>

#include "terminal.hpp"

namespace {

using namespace tercet::tools;
using testing::ExitedWithCode;
using testing::HasSubstr;
using testing::Not;

[[noreturn]] void be_interrupted() {
    ::kill(::getpid(), SIGTERM);
    for (;;) ::pause();
}

TEST(interrupt, ends_the_program_after_its_last_words) {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    EXPECT_EXIT(
        {
            auto& interrupts = *new interrupt;
            const last_words words(interrupts, [] { write_all(STDERR_FILENO, "spoken"); });
            be_interrupted();
        },
        ExitedWithCode(128 + SIGTERM), HasSubstr("spoken"));
}

TEST(interrupt, last_words_are_forgotten_when_an_error_ends_what_they_speak_of) {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    EXPECT_EXIT(
        {
            auto& interrupts = *new interrupt;
            try {
                const last_words words(interrupts, [] { write_all(STDERR_FILENO, "spoken"); });
                throw std::runtime_error("no memory");
            } catch (const std::runtime_error&) {
                be_interrupted();
            }
        },
        ExitedWithCode(128 + SIGTERM), Not(HasSubstr("spoken")));
}

}  // namespace
