#pragma once

#include <tercet/multiprocessing/archive.hpp>
#include <tercet/multiprocessing/reflection.hpp>

#include <array>
#include <chrono>
#include <complex>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <ranges>
#include <span>
#include <stop_token>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>

namespace tercet::multiprocessing {

/// Says that the bytes of a `T` are its value, so that it may be copied between processes byte by byte. For trivially
/// copyable classes with private members; specialise it with `std::true_type`. Nobody checks that no pointer is inside.
template <class T>
struct is_bytewise_transferable : std::false_type {};
template <>
struct is_bytewise_transferable<std::chrono::day> : std::true_type {};
template <>
struct is_bytewise_transferable<std::chrono::month> : std::true_type {};
template <>
struct is_bytewise_transferable<std::chrono::year> : std::true_type {};
template <>
struct is_bytewise_transferable<std::chrono::weekday> : std::true_type {};
template <>
struct is_bytewise_transferable<std::chrono::year_month> : std::true_type {};
template <>
struct is_bytewise_transferable<std::chrono::month_day> : std::true_type {};
template <>
struct is_bytewise_transferable<std::chrono::year_month_day> : std::true_type {};

/// How values of a type travel.
enum class travels_as : std::uint8_t {
    // They do not, for a reason that has a text of its own.
    pointer,
    view,
    reference,
    unknown_class,
    // They do.
    boolean,
    scalar,
    bytes,
    serialized,
    c_array,
    array,
    path,
    optional,
    variant,
    unique_pointer,
    tuple,
    nothing,
    map,
    set,
    sequence,
    aggregate,
};

namespace detail {

template <class T, template <class...> class Template>
inline constexpr bool is_a = false;
template <template <class...> class Template, class... Args>
inline constexpr bool is_a<Template<Args...>, Template> = true;

template <class T>
inline constexpr bool is_std_array = false;
template <class T, std::size_t N>
inline constexpr bool is_std_array<std::array<T, N>> = true;

template <class T>
inline constexpr bool is_span = false;
template <class T, std::size_t N>
inline constexpr bool is_span<std::span<T, N>> = true;

template <class T>
inline constexpr bool is_plain_unique_ptr = false;
template <class T>
inline constexpr bool is_plain_unique_ptr<std::unique_ptr<T>> = !std::is_array_v<T>;

/// Types whose values are numbers, in classes of the standard library.
template <class T>
inline constexpr bool is_std_number = false;
template <class Rep, class Period>
inline constexpr bool is_std_number<std::chrono::duration<Rep, Period>> = std::is_arithmetic_v<Rep>;
template <class Clock, class Duration>
inline constexpr bool is_std_number<std::chrono::time_point<Clock, Duration>> = is_std_number<Duration>;
template <class T>
inline constexpr bool is_std_number<std::complex<T>> = std::is_arithmetic_v<T>;

template <class T>
concept has_serialize = requires(T& value, encoder& out, decoder& in) {
    value.serialize(out);
    value.serialize(in);
};

template <class T>
concept range_with_values = std::ranges::input_range<T> && requires {
    typename T::value_type;
};
template <class T>
concept set_like = range_with_values<T> && requires(T& set, typename T::value_type value) {
    typename T::key_type;
    set.clear();
    set.insert(set.end(), std::move(value));
};
template <class T>
concept map_like = set_like<T> && requires {
    typename T::mapped_type;
};
template <class T>
concept sequence_like = range_with_values<T> && requires(T& sequence, typename T::value_type value) {
    sequence.clear();
    sequence.push_back(std::move(value));
    sequence.size();
};

}  // namespace detail

/// How a `T` travels. Decides nothing about what is inside of it.
template <class T>
consteval travels_as way_of() {
    using enum travels_as;
    if constexpr (std::is_pointer_v<T> || std::is_member_pointer_v<T> || std::is_null_pointer_v<T>)
        return pointer;
    else if constexpr (std::is_reference_v<T> || detail::is_a<T, std::reference_wrapper>)
        return reference;
    else if constexpr (std::is_same_v<T, bool>)
        return boolean;
    else if constexpr (std::is_arithmetic_v<T> || std::is_enum_v<T>)
        return scalar;
    else if constexpr (std::is_array_v<T>)
        return c_array;
    else if constexpr (std::is_same_v<T, std::monostate>)
        return nothing;
    else if constexpr (detail::is_a<T, std::basic_string_view> || detail::is_span<T>)
        return view;
    else if constexpr (detail::is_std_number<T> || is_bytewise_transferable<T>::value)
        return bytes;
    else if constexpr (detail::has_serialize<T>)
        return serialized;
    else if constexpr (detail::is_std_array<T>)
        return array;
    else if constexpr (std::is_same_v<T, std::filesystem::path>)
        return path;
    else if constexpr (detail::is_a<T, std::optional>)
        return optional;
    else if constexpr (detail::is_a<T, std::variant>)
        return variant;
    else if constexpr (detail::is_plain_unique_ptr<T>)
        return unique_pointer;
    else if constexpr (detail::is_a<T, std::pair> || detail::is_a<T, std::tuple>)
        return tuple;
    else if constexpr (std::ranges::view<T>)
        return view;
    else if constexpr (detail::map_like<T>)
        return map;
    else if constexpr (detail::set_like<T>)
        return set;
    else if constexpr (detail::sequence_like<T>)
        return sequence;
    else if constexpr (std::is_aggregate_v<T>)
        return aggregate;
    else
        return unknown_class;
}

/// Whether the bytes of a `T` are its value, all the way down.
template <class T>
consteval bool is_bytewise();

namespace detail {

template <class... Fields>
consteval bool all_bytewise(Fields&...) {
    return (is_bytewise<std::remove_cv_t<Fields>>() && ...);
}

template <class T>
using bytewise_fields = decltype(reflection::with_fields(std::declval<T&>(), [](auto&... fields) {
    return std::bool_constant<(is_bytewise<std::remove_cv_t<std::remove_reference_t<decltype(fields)>>>() && ...)>();
}));

}  // namespace detail

template <class T>
consteval bool is_bytewise() {
    constexpr travels_as way = way_of<T>();
    if constexpr (way == travels_as::scalar || way == travels_as::bytes)
        return true;
    else if constexpr (way == travels_as::array || way == travels_as::c_array)
        return is_bytewise<std::remove_cvref_t<decltype(std::declval<T&>()[0])>>();
    else if constexpr (way == travels_as::aggregate && std::is_trivially_copyable_v<T> && !std::is_empty_v<T>) {
        if constexpr (reflection::has_base<T>)
            return false;
        else
            return detail::bytewise_fields<T>::value;
    } else
        return false;
}

/// Refuses at compile time, with a text that names the way out, a type whose values mean nothing in another process.
template <class T>
consteval void require_transferable() {
    constexpr travels_as way = way_of<T>();
    static_assert(
        way != travels_as::pointer,
        "tercet: a pointer cannot be sent to another process, where its address means nothing: send the value "
        "(std::string, std::vector, std::optional, std::unique_ptr)");
    static_assert(way != travels_as::view,
                  "tercet: a string_view, span or other view cannot be sent to another process, because it refers to "
                  "memory of this one: send a std::string or a std::vector");
    static_assert(way != travels_as::reference,
                  "tercet: a reference cannot be sent to another process: send the value, and return the changed one");
    static_assert(way != travels_as::unknown_class,
                  "tercet: values of this class cannot be sent to another process: make it an aggregate, give it a "
                  "member serialize(Archive&), or specialise is_bytewise_transferable");
    if constexpr (way == travels_as::aggregate && !std::is_empty_v<T>)
        static_assert(!reflection::has_base<T>,
                      "tercet: an aggregate with a base class cannot be sent field by field: give it a member "
                      "serialize(Archive&)");
}

}  // namespace tercet::multiprocessing
