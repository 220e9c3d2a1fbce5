#include <tercet/futures/errors.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <exception>
#include <stdexcept>
#include <string>

namespace {

using testing::HasSubstr;

TEST(errors, a_cancellation_is_not_a_runtime_error) {
    EXPECT_FALSE((std::is_base_of_v<std::runtime_error, tercet::cancelled_error>));
    EXPECT_STREQ(tercet::cancelled_error().what(), "cancelled");
    EXPECT_STREQ(tercet::cancelled_error("by the user").what(), "by the user");
}

TEST(errors, a_group_lists_every_error_with_its_type) {
    const tercet::exception_group group("two fetches failed", {std::make_exception_ptr(std::runtime_error("refused")),
                                                               std::make_exception_ptr(tercet::timeout_error("slow"))});
    EXPECT_EQ(group.errors().size(), 2U);
    EXPECT_THAT(group.what(), HasSubstr("two fetches failed (2 errors)"));
    EXPECT_THAT(group.what(), HasSubstr("std::runtime_error: refused"));
    EXPECT_THAT(group.what(), HasSubstr("tercet::timeout_error: slow"));
}

TEST(errors, a_group_of_nothing_is_refused) {
    EXPECT_THROW(tercet::exception_group("none", {}), std::invalid_argument);
}

TEST(errors, describe_names_what_is_not_an_exception_class) {
    EXPECT_EQ(tercet::describe(nullptr), "no error");
    EXPECT_THAT(tercet::describe(std::make_exception_ptr(7)), HasSubstr("int"));
}

std::string reported;
void remember(const std::exception_ptr& error, std::string_view origin) noexcept {
    reported += std::string(origin) + ": " + tercet::describe(error) + "\n";
}

template <class>
struct failure_of : std::runtime_error {
    using std::runtime_error::runtime_error;
};

TEST(errors, describe_says_because_of_what) {
    std::exception_ptr error;
    try {
        try {
            throw std::out_of_range("row 7");
        } catch (...) {
            std::throw_with_nested(std::runtime_error("load"));
        }
    } catch (...) {
        error = std::current_exception();
    }
    EXPECT_EQ(tercet::describe(error), "std::runtime_error: load; because of std::out_of_range: row 7");
    try {
        std::throw_with_nested(failure_of<int>("read"));
    } catch (...) {
        EXPECT_THAT(tercet::describe(std::current_exception()), testing::EndsWith("failure_of<int>: read"));
    }
    for (int i = 0; i < 100; ++i) {
        try {
            try {
                std::rethrow_exception(error);
            } catch (...) {
                std::throw_with_nested(std::runtime_error("again"));
            }
        } catch (...) {
            error = std::current_exception();
        }
    }
    EXPECT_THAT(tercet::describe(error), testing::EndsWith("; because of more")) << "a long chain is cut";
}

TEST(errors, an_unread_error_goes_to_the_hook) {
    reported.clear();
    const auto before = tercet::set_unread_error_hook(&remember);
    tercet::report_unread_error(std::make_exception_ptr(std::runtime_error("lost")), "a test");
    EXPECT_EQ(tercet::set_unread_error_hook(before), &remember);
    EXPECT_EQ(reported, "a test: std::runtime_error: lost\n");
}

}  // namespace
