#include <tercet/futures/errors.hpp>
#include <tercet/multiprocessing/errors.hpp>
#include <tercet/multiprocessing/remote_exception.hpp>

#include <gtest/gtest.h>

#include <exception>
#include <filesystem>
#include <new>
#include <stdexcept>
#include <string>
#include <system_error>
#include <typeinfo>

namespace tercet::multiprocessing {
namespace {

class unknown_failure : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

class by_text : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

class by_fields : public std::exception {
public:
    by_fields() = default;
    explicit by_fields(int row) : row_(row) {}
    const char* what() const noexcept override { return "bad row"; }
    int row() const { return row_; }
    template <class Archive>
    void serialize(Archive& archive) {
        archive(row_);
    }

private:
    int row_ = 0;
};

class final_one final : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

class that_nests_itself : public std::runtime_error, public std::nested_exception {
public:
    using std::runtime_error::runtime_error;
};

class with_broken_codec : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

const bool registered = register_exception<by_text>() && register_exception<by_fields>() &&
                        register_exception<final_one>() && register_exception<that_nests_itself>();

std::exception_ptr round_trip(const std::exception_ptr& error) {
    encoder out;
    encode_exception(out, error);
    decoder in(out.buffer().bytes());
    auto back = decode_exception(in);
    in.expect_end();
    return back;
}

template <class E>
E returned(const E& error) {
    try {
        std::rethrow_exception(round_trip(std::make_exception_ptr(error)));
    } catch (const std::exception& back) {
        EXPECT_EQ(typeid(back), typeid(E));
        EXPECT_STREQ(back.what(), error.what());
        if (const auto* const same = dynamic_cast<const E*>(&back)) return *same;
        return error;
    }
}

TEST(remote_exception, types_of_the_standard_library_are_kept) {
    returned(std::runtime_error("a"));
    returned(std::range_error("b"));
    returned(std::overflow_error("b"));
    returned(std::underflow_error("b"));
    returned(std::logic_error("c"));
    returned(std::invalid_argument("d"));
    returned(std::domain_error("d"));
    returned(std::length_error("d"));
    returned(std::out_of_range(""));
    returned(std::bad_alloc());
    returned(std::bad_cast());
    returned(std::exception());
}

TEST(remote_exception, system_errors_keep_code_and_text) {
    const auto back = returned(std::system_error(2, std::system_category(), "open x: y"));
    EXPECT_EQ(back.code(), std::error_code(2, std::system_category()));
    returned(std::system_error(std::make_error_code(std::errc::timed_out)));
    const auto file = returned(std::filesystem::filesystem_error("copy", "/a", "/b", {13, std::generic_category()}));
    EXPECT_EQ(file.path2(), "/b");
    EXPECT_EQ(file.code().value(), 13);
    returned(std::filesystem::filesystem_error("stat", "/a", {2, std::system_category()}));
    returned(std::filesystem::filesystem_error("stat", {2, std::system_category()}));
}

TEST(remote_exception, errors_of_tercet_are_kept) {
    returned(timeout_error("late"));
    returned(cancelled_error("by hand"));
    returned(invalid_state_error("twice"));
    returned(executor_shutdown("closed"));
    returned(broken_executor("broken"));
    returned(broken_process_pool("broken"));
    returned(decode_error("short"));
    returned(queue_empty("nothing"));
    returned(eof_error("closed"));
    returned(authentication_error("other key"));
    returned(process_start_error("nested"));
    const auto death = returned(worker_died("gone", 12, 9, 0));
    EXPECT_EQ(death.pid(), 12);
    EXPECT_EQ(death.signal(), 9);
    const auto group = returned(exception_group(
        "two", {std::make_exception_ptr(std::runtime_error("a")), std::make_exception_ptr(timeout_error("b"))}));
    ASSERT_EQ(group.errors().size(), 2U);
    EXPECT_THROW(std::rethrow_exception(group.errors()[1]), timeout_error);
}

TEST(remote_exception, an_unknown_type_keeps_its_name_and_text) {
    try {
        std::rethrow_exception(round_trip(std::make_exception_ptr(unknown_failure("row 7"))));
    } catch (const remote_error& e) {
        EXPECT_STREQ(e.what(), "row 7");
        EXPECT_NE(e.type_name().find("unknown_failure"), std::string::npos) << e.type_name();
        returned(e);
    }
}

TEST(remote_exception, registered_types_come_back) {
    returned(by_text("text"));
    EXPECT_EQ(returned(by_fields(7)).row(), 7);
}

TEST(remote_exception, what_is_no_std_exception_is_named) {
    try {
        std::rethrow_exception(round_trip(std::make_exception_ptr(42)));
    } catch (const remote_error& e) {
        EXPECT_EQ(e.type_name(), "int");
    }
}

template <class E>
std::exception_ptr nested_in(const E& outer, const std::exception_ptr& inner) {
    try {
        std::rethrow_exception(inner);
    } catch (...) {
        try {
            std::throw_with_nested(outer);
        } catch (...) {
            return std::current_exception();
        }
    }
}

TEST(remote_exception, what_is_nested_in_one_comes_back_in_it) {
    auto error = std::make_exception_ptr(std::system_error(2, std::system_category(), "open x"));
    error = nested_in(by_fields(7), error);
    error = nested_in(std::runtime_error("load"), error);
    const auto back = round_trip(error);
    EXPECT_EQ(describe(back),
              "std::runtime_error: load; because of tercet::multiprocessing::(anonymous namespace)::by_fields: bad row; "
              "because of std::system_error: open x: No such file or directory");
    EXPECT_EQ(describe(round_trip(back)), describe(back)) << "and can travel on";
    try {
        std::rethrow_exception(back);
    } catch (const std::runtime_error& e) {
        try {
            std::rethrow_if_nested(e);
        } catch (const by_fields& inner) {
            EXPECT_EQ(inner.row(), 7);
        }
    }
    EXPECT_EQ(describe(round_trip(nested_in(std::logic_error("outer"), std::make_exception_ptr(42)))),
              "std::logic_error: outer; because of tercet::multiprocessing::remote_error: an exception of type int");
}

TEST(remote_exception, what_is_nested_in_an_unknown_type_comes_back_too) {
    const auto back = round_trip(nested_in(unknown_failure("row 7"), std::make_exception_ptr(timeout_error("late"))));
    try {
        std::rethrow_exception(back);
    } catch (const remote_error& e) {
        EXPECT_NE(e.type_name().find("unknown_failure"), std::string::npos) << e.type_name();
        EXPECT_EQ(e.type_name().find("Nested"), std::string::npos) << e.type_name();
        EXPECT_THROW(std::rethrow_if_nested(e), timeout_error);
    }
}

TEST(remote_exception, a_type_that_nests_by_itself_keeps_what_it_nests_and_a_final_one_has_nothing) {
    std::exception_ptr error;
    try {
        throw std::range_error("inner");
    } catch (...) {
        error = std::make_exception_ptr(that_nests_itself("outer"));
    }
    try {
        std::rethrow_exception(round_trip(error));
    } catch (const that_nests_itself& back) {
        EXPECT_STREQ(back.what(), "outer");
        EXPECT_THROW(back.rethrow_nested(), std::range_error);
    }
    returned(final_one("as it was"));
}

TEST(remote_exception, of_a_long_chain_the_outer_part_comes_back) {
    auto error = std::make_exception_ptr(std::runtime_error("innermost"));
    for (int i = 0; i < 5'000; ++i) error = nested_in(std::runtime_error("outer"), error);
    std::exception_ptr back = round_trip(error);
    int length = 0;
    for (bool has_more = true; has_more; ++length) {
        has_more = false;
        try {
            std::rethrow_exception(back);
        } catch (const std::runtime_error& e) {
            try {
                std::rethrow_if_nested(e);
            } catch (...) {
                back = std::current_exception();
                has_more = true;
            }
        }
    }
    EXPECT_EQ(length, 33);
}

TEST(remote_exception, one_whose_codec_throws_keeps_its_name_and_text) {
    const auto name_and_text = [] {
        try {
            std::rethrow_exception(round_trip(std::make_exception_ptr(with_broken_codec("row 7"))));
        } catch (const remote_error& e) {
            return e.type_name() + ": " + e.what();
        }
    };
    const std::string expected = "tercet::multiprocessing::(anonymous namespace)::with_broken_codec: row 7";
    const auto refuse_encode = [](encoder& out, const std::exception&) {
        encode(out, 1);
        throw std::logic_error("not today");
    };
    const auto encode_nothing = [](encoder&, const std::exception&) {};
    const auto refuse_decode = [](decoder&) -> std::exception_ptr { throw std::logic_error("not here"); };
    const auto decode_nothing = [](decoder&) -> std::exception_ptr { return nullptr; };
    const auto& type = typeid(with_broken_codec);
    register_exception_codec(type, {.encode = refuse_encode, .decode = decode_nothing});
    EXPECT_EQ(name_and_text(), expected);
    register_exception_codec(type, {.encode = encode_nothing, .decode = refuse_decode});
    EXPECT_EQ(name_and_text(), expected);
    register_exception_codec(type, {.encode = encode_nothing, .decode = decode_nothing});
    EXPECT_EQ(name_and_text(), expected);
    register_exception_codec(type, {.encode = encode_nothing, .decode = [](decoder&) {
                                        return std::make_exception_ptr(with_broken_codec("made again"));
                                    }});
    try {
        std::rethrow_exception(round_trip(
            nested_in(with_broken_codec("row 7"), std::make_exception_ptr(std::runtime_error("lost without nest")))));
    } catch (const with_broken_codec& e) {
        EXPECT_STREQ(e.what(), "made again");
        EXPECT_NO_THROW(std::rethrow_if_nested(e));
    }
}

TEST(remote_exception, hostile_input_is_a_decode_error_or_a_remote_error) {
    encoder out;
    encode_exception(out, std::make_exception_ptr(std::system_error(2, std::system_category(), "open")));
    const auto bytes = out.buffer().bytes();
    for (std::size_t size = 0; size < bytes.size(); ++size) {
        decoder in(bytes.first(size));
        EXPECT_THROW(decode_exception(in), decode_error) << size;
    }
    for (std::size_t i = 0; i < bytes.size(); ++i) {
        byte_buffer changed;
        changed.append(bytes.data(), bytes.size());
        changed.data()[i] ^= std::byte{0x81};
        decoder in(changed.bytes());
        try {
            EXPECT_NE(decode_exception(in), nullptr);
        } catch (const decode_error&) {
        }
    }
}

}  // namespace
}  // namespace tercet::multiprocessing
