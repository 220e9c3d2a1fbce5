#include <tercet/multiprocessing/codec.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <complex>
#include <cstring>
#include <deque>
#include <filesystem>
#include <limits>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <unordered_map>
#include <unordered_set>
#include <variant>
#include <vector>

namespace tercet::multiprocessing {
namespace {

/// Its members are its own business.
class vouched_for {
public:
    vouched_for() = default;
    vouched_for(int a, int b) : a_(a), b_(b) {}
    friend bool operator==(const vouched_for&, const vouched_for&) = default;

private:
    int a_ = 0;
    int b_ = 0;
};

}  // namespace

template <>
struct is_bytewise_transferable<vouched_for> : std::true_type {};

namespace {

enum class colour : std::uint8_t { red = 1, blue = 7 };

struct point {
    int x;
    double y;
    friend bool operator==(const point&, const point&) = default;
};

struct with_c_arrays {
    char name[8];
    int grid[2][3];
    point where;
    bool is_set;
};

struct nothing {
    friend bool operator==(const nothing&, const nothing&) = default;
};

struct record {
    std::string name;
    std::optional<int> age;
    std::vector<point> path;
    std::map<std::string, std::vector<int>> index;
    bool is_open;
    nothing tag;
    friend bool operator==(const record&, const record&) = default;
};

struct tree {
    int value;
    std::vector<tree> children;
    friend bool operator==(const tree&, const tree&) = default;
};

struct chain {
    int value;
    std::unique_ptr<chain> next;
};

class account {
public:
    account() = default;
    account(std::string owner, long balance) : owner_(std::move(owner)), balance_(balance) {}
    template <class Archive>
    void serialize(Archive& archive) {
        archive(owner_, balance_);
    }
    friend bool operator==(const account&, const account&) = default;

private:
    std::string owner_;
    long balance_ = 0;
};

template <class T>
byte_buffer encoded(const T& value) {
    encoder out;
    encode(out, value);
    return std::move(out.buffer());
}

template <class T>
T round_trip(const T& value) {
    const byte_buffer bytes = encoded(value);
    decoder in(bytes.bytes());
    T back = decode<T>(in);
    in.expect_end();
    return back;
}

template <class T>
void expect_kept(const T& value) {
    EXPECT_EQ(round_trip(value), value);
}

/// Every shorter message than a whole one is refused.
template <class T>
void expect_refused_at_every_cut(const T& value) {
    const byte_buffer bytes = encoded(value);
    for (std::size_t size = 0; size < bytes.size(); ++size) {
        decoder in(bytes.bytes().first(size));
        EXPECT_THROW(
            {
                decode<T>(in);
                in.expect_end();
            },
            decode_error)
            << size << " of " << bytes.size() << " bytes";
    }
}

record some_record() { return {"Ada", 36, {{1, 2.5}, {3, 4.5}}, {{"a", {1, 2}}, {"", {}}}, true, {}}; }

TEST(codec, scalars_and_enums_are_kept) {
    expect_kept(0);
    expect_kept(-1L);
    expect_kept('x');
    expect_kept(true);
    expect_kept(false);
    expect_kept(1.5F);
    expect_kept(std::numeric_limits<double>::infinity());
    expect_kept(std::numeric_limits<std::uint64_t>::max());
    expect_kept(colour::blue);
}

TEST(codec, strings_and_sequences_are_kept) {
    expect_kept(std::string());
    expect_kept(std::string("a\0b", 3));
    expect_kept(std::u16string(u"grün"));
    expect_kept(std::vector<int>{1, 2, 3});
    expect_kept(std::vector<std::string>{"", "a", "bb"});
    expect_kept(std::vector<bool>{true, false, true});
    expect_kept(std::vector<std::byte>{std::byte{1}, std::byte{255}});
    expect_kept(std::vector<point>{{1, 2}, {3, 4}});
    expect_kept(std::deque<double>{1, 2});
    expect_kept(std::list<std::string>{"x", "y"});
    expect_kept(std::array<std::string, 2>{"x", "y"});
    expect_kept(std::array<int, 0>{});
}

TEST(codec, maps_and_sets_are_kept) {
    expect_kept(std::map<std::string, int>{{"a", 1}, {"b", 2}});
    expect_kept(std::multimap<int, int>{{1, 1}, {1, 2}});
    expect_kept(std::set<std::string>{"a", "b"});
    expect_kept(std::unordered_map<std::string, std::vector<int>>{{"a", {1}}, {"b", {}}});
    expect_kept(std::unordered_set<int>{1, 2, 3});
}

TEST(codec, sums_and_products_are_kept) {
    expect_kept(std::optional<std::string>());
    expect_kept(std::optional<std::string>("a"));
    expect_kept(std::pair<int, std::string>(1, "a"));
    expect_kept(std::tuple<int, std::string, bool>(1, "a", true));
    expect_kept(std::tuple<>());
    expect_kept(std::variant<std::monostate, int, std::string>());
    expect_kept(std::variant<std::monostate, int, std::string>("a"));
    EXPECT_EQ(*round_trip(std::make_unique<std::string>("a")), "a");
    EXPECT_EQ(round_trip(std::unique_ptr<int>()), nullptr);
}

TEST(codec, library_classes_are_kept) {
    using namespace std::chrono_literals;
    expect_kept(15ms);
    expect_kept(std::chrono::system_clock::time_point(17s));
    expect_kept(std::chrono::year(2026) / 11 / 21);
    expect_kept(std::complex<double>(1, 2));
    expect_kept(std::filesystem::path("/tmp/a b"));
}

TEST(codec, aggregates_are_kept_field_by_field) {
    expect_kept(some_record());
    expect_kept(nothing{});
    expect_kept(std::vector<nothing>(3));
    expect_kept(tree{1, {{2, {}}, {3, {{4, {}}}}}});
}

TEST(codec, members_that_are_c_arrays_are_kept) {
    const auto back = round_trip(with_c_arrays{"abc", {{1, 2, 3}, {4, 5, 6}}, {7, 8}, true});
    EXPECT_STREQ(back.name, "abc");
    EXPECT_EQ(back.grid[1][2], 6);
    EXPECT_EQ(back.where, (point{7, 8}));
    EXPECT_TRUE(back.is_set);
}

TEST(codec, classes_with_serialize_are_kept) {
    expect_kept(account("Ada", 100));
    expect_kept(std::vector<account>{{"Ada", 100}, {"Bob", -1}});
}

TEST(codec, classes_whose_bytes_the_user_vouches_for_are_copied) {
    const vouched_for value(3, 4);
    EXPECT_EQ(round_trip(value), value);
    const std::vector<vouched_for> several{{1, 2}, {3, 4}};
    EXPECT_EQ(round_trip(several), several);
}

TEST(codec, a_block_of_plain_values_is_one_copy) {
    EXPECT_EQ(encoded(std::vector<int>(1000)).size(), 8 + 1000 * sizeof(int));
    EXPECT_EQ(encoded(std::vector<point>(1000)).size(), 8 + 1000 * sizeof(point));
}

TEST(codec, a_truncated_message_is_refused_at_every_byte) {
    expect_refused_at_every_cut(some_record());
    expect_refused_at_every_cut(tree{1, {{2, {}}, {3, {}}}});
    expect_refused_at_every_cut(std::variant<int, std::string>("abc"));
    expect_refused_at_every_cut(account("Ada", 100));
    expect_refused_at_every_cut(std::vector<bool>{true, false});
    expect_refused_at_every_cut(std::tuple(std::optional(1), std::array<short, 3>{1, 2, 3}));
}

TEST(codec, a_huge_count_takes_no_memory) {
    for (const std::uint64_t count : {std::uint64_t{9}, std::uint64_t{1} << 32U, std::uint64_t{1} << 61U,
                                      std::numeric_limits<std::uint64_t>::max()}) {
        encoder out;
        out.write_raw(count);
        out.write_raw(std::uint64_t{0});
        const auto refused = [&]<class T>(std::type_identity<T>) {
            decoder in(out.buffer().bytes());
            EXPECT_THROW(decode<T>(in), decode_error) << count;
        };
        refused(std::type_identity<std::vector<int>>());
        refused(std::type_identity<std::vector<nothing>>());
        refused(std::type_identity<std::vector<std::monostate>>());
        refused(std::type_identity<std::string>());
        refused(std::type_identity<std::vector<std::string>>());
        refused(std::type_identity<std::map<int, int>>());
        refused(std::type_identity<std::list<std::vector<account>>>());
    }
}

TEST(codec, values_that_no_type_has_are_refused) {
    const auto refused = []<class T>(std::type_identity<T>, std::uint8_t byte) {
        encoder out;
        out.write_raw(byte);
        out.write_raw(std::uint64_t{0});
        decoder in(out.buffer().bytes());
        EXPECT_THROW(decode<T>(in), decode_error) << int{byte};
    };
    refused(std::type_identity<bool>(), 2);
    refused(std::type_identity<std::optional<int>>(), 2);
    refused(std::type_identity<std::unique_ptr<int>>(), 255);
    refused(std::type_identity<std::variant<int, long>>(), 2);
}

TEST(codec, every_changed_byte_is_a_value_or_an_error) {
    const byte_buffer original = encoded(some_record());
    for (std::size_t i = 0; i < original.size(); ++i) {
        for (const unsigned flip : {1U, 128U, 255U}) {
            byte_buffer changed;
            changed.append(original.data(), original.size());
            changed.data()[i] ^= static_cast<std::byte>(flip);
            decoder in(changed.bytes());
            try {
                decode<record>(in);
            } catch (const decode_error&) {
            }
        }
    }
}

TEST(codec, nesting_is_bounded_in_both_directions) {
    const auto chain_of = [](unsigned length) {
        chain first{0, nullptr};
        for (unsigned i = 1; i < length; ++i) first = chain{1, std::make_unique<chain>(std::move(first))};
        return first;
    };
    EXPECT_NO_THROW(round_trip(chain_of(max_nesting / 2)));
    encoder out;
    EXPECT_THROW(encode(out, chain_of(max_nesting)), decode_error);

    encoder hostile;
    for (unsigned i = 0; i < 2 * max_nesting; ++i) {
        hostile.write_raw(int{1});
        hostile.write_raw(std::uint8_t{1});
    }
    decoder in(hostile.buffer().bytes());
    EXPECT_THROW(decode<chain>(in), decode_error);
}

TEST(codec, bytes_left_over_are_an_error) {
    const byte_buffer bytes = encoded(std::pair(1, 2));
    decoder in(bytes.bytes());
    decode<int>(in);
    EXPECT_THROW(in.expect_end(), decode_error);
}

}  // namespace
}  // namespace tercet::multiprocessing
