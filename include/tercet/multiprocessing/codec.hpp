#pragma once

#include <tercet/multiprocessing/archive.hpp>
#include <tercet/multiprocessing/transferable.hpp>

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <ranges>
#include <string>
#include <type_traits>
#include <utility>

namespace tercet::multiprocessing {

/// Appends `value`. What cannot be sent does not compile.
template <class T>
void encode(encoder& out, const T& value);

/// Reads into `value` what was written from a `T`. Throws `decode_error`; `value` is then valid but unspecified.
template <class T>
void decode(decoder& in, T& value);

/// Reads a new `T`.
template <class T>
T decode(decoder& in);

namespace detail {

/// The least number of bytes that a value takes. Never 0, so that a count is bounded by the bytes that follow it.
template <class T>
consteval std::size_t least_size() {
    return is_bytewise<T>() ? sizeof(T) : 1;
}

/// From how many bytes on an array is worth the question for huge pages.
inline constexpr std::size_t worth_a_hint = std::size_t{4} << 20U;

/// Whether the elements lie in one block whose bytes are their values.
template <class T>
inline constexpr bool is_block = std::ranges::contiguous_range<T>&& std::ranges::sized_range<T>&&
is_bytewise<std::remove_cv_t<std::ranges::range_value_t<T>>>();

/// Whether a value of this type says nothing; it is written as one byte, so that none takes 0 bytes.
template <class T>
inline constexpr bool is_nothing = way_of<T>() == travels_as::nothing ||
                                   (way_of<T>() == travels_as::aggregate && std::is_empty_v<T>);
template <>
inline constexpr bool is_nothing<std::tuple<>> = true;
template <class T>
inline constexpr bool is_nothing<std::array<T, 0>> = true;

template <class T>
void encode_variant(encoder& out, const T& value) {
    static_assert(std::variant_size_v<T> < 255);
    if (value.valueless_by_exception()) throw_bad_value("a variant without a value, index", value.index());
    out.write_raw(static_cast<std::uint8_t>(value.index()));
    std::visit([&out](const auto& alternative) { encode(out, alternative); }, value);
}

template <class T, std::size_t... I>
void decode_variant(decoder& in, T& value, std::index_sequence<I...>) {
    const auto index = in.read_raw<std::uint8_t>();
    const bool is_known =
        ((index == I && (value.template emplace<I>(decode<std::variant_alternative_t<I, T>>(in)), true)) || ...);
    if (!is_known) throw_bad_value("the index of a variant", index);
}

template <class T>
void encode_sequence(encoder& out, const T& value) {
    if constexpr (is_block<T>) {
        out.write_elements(std::ranges::size(value), std::ranges::data(value),
                           std::ranges::size(value) * sizeof(*std::ranges::data(value)));
    } else {
        out.write_count(std::ranges::size(value));
        for (const auto& element : value) encode<typename T::value_type>(out, element);
    }
}

template <class T>
void decode_sequence(decoder& in, T& value) {
    using element_type = typename T::value_type;
    value.clear();
    if constexpr (is_block<T> && requires { value.resize(std::size_t{}); }) {
        const auto [count, bytes] = in.read_elements(sizeof(element_type));
        const auto* const first = reinterpret_cast<const element_type*>(bytes);
        if (reinterpret_cast<std::uintptr_t>(bytes) % alignof(element_type) == 0) {
            if constexpr (requires { value.reserve(count); }) {
                value.reserve(count);
                if (count >= worth_a_hint / sizeof(element_type))
                    expect_to_fill(std::ranges::data(value), count * sizeof(element_type));
            }
            value.assign(first, first + count);
        } else {
            value.resize(count);
            if (count != 0) std::memcpy(std::ranges::data(value), bytes, count * sizeof(element_type));
        }
    } else {
        const std::size_t count = in.read_count(least_size<element_type>());
        // A hostile count must not take more memory at once than its message did.
        if constexpr (requires { value.reserve(count); })
            value.reserve(std::min(count, in.left() / sizeof(element_type) + 1));
        for (std::size_t i = 0; i < count; ++i) value.push_back(decode<element_type>(in));
    }
}

template <class T>
void decode_set(decoder& in, T& value) {
    const std::size_t count = in.read_count();
    value.clear();
    for (std::size_t i = 0; i < count; ++i) {
        if constexpr (way_of<T>() == travels_as::map) {
            auto key = decode<typename T::key_type>(in);
            value.emplace_hint(value.end(), std::move(key), decode<typename T::mapped_type>(in));
        } else {
            value.emplace_hint(value.end(), decode<typename T::key_type>(in));
        }
    }
}

}  // namespace detail

template <class T>
void encode(encoder& out, const T& value) {
    using enum travels_as;
    constexpr travels_as way = way_of<T>();
    require_transferable<T>();
    if constexpr (is_bytewise<T>()) {
        out.write(std::addressof(value), sizeof value);
    } else if constexpr (way == boolean) {
        out.write_raw(static_cast<std::uint8_t>(value ? 1 : 0));
    } else if constexpr (way == path) {
        encode(out, value.native());
    } else if constexpr (detail::is_nothing<T>) {
        out.write_raw(std::uint8_t{0});
    } else if constexpr (way == array || way == c_array) {
        for (const auto& element : value) encode(out, element);
    } else if constexpr (way == tuple) {
        std::apply([&out](const auto&... elements) { (encode(out, elements), ...); }, value);
    } else if constexpr (way > scalar) {
        const nesting guard(out.depth());
        if constexpr (way == serialized) {
            out.write_raw(std::uint8_t{0});
            const_cast<T&>(value).serialize(out);  // one function for both directions, as cereal has it
        } else if constexpr (way == optional || way == unique_pointer) {
            out.write_raw(static_cast<std::uint8_t>(value ? 1 : 0));
            if (value) encode(out, *value);
        } else if constexpr (way == variant) {
            detail::encode_variant(out, value);
        } else if constexpr (way == map) {
            out.write_count(value.size());
            for (const auto& [key, mapped] : value) {
                encode(out, key);
                encode(out, mapped);
            }
        } else if constexpr (way == set || way == sequence) {
            detail::encode_sequence(out, value);
        } else if constexpr (way == aggregate) {
            reflection::with_fields(value, [&out](const auto&... fields) { (encode(out, fields), ...); });
        }
    }
}

template <class T>
void decode(decoder& in, T& value) {
    using enum travels_as;
    constexpr travels_as way = way_of<T>();
    require_transferable<T>();
    static_assert(!std::is_const_v<T>,
                  "tercet: a const member cannot be filled in from another process: make it plain");
    if constexpr (is_bytewise<T>()) {
        in.read(std::addressof(value), sizeof value);
    } else if constexpr (way == boolean) {
        const auto byte = in.read_raw<std::uint8_t>();
        if (byte > 1) throw_bad_value("a bool", byte);
        value = byte == 1;
    } else if constexpr (way == path) {
        value = decode<std::string>(in);
    } else if constexpr (detail::is_nothing<T>) {
        in.take(1);
    } else if constexpr (way == array || way == c_array) {
        for (auto& element : value) decode(in, element);
    } else if constexpr (way == tuple) {
        std::apply([&in](auto&... elements) { (decode(in, elements), ...); }, value);
    } else if constexpr (way > scalar) {
        const nesting guard(in.depth());
        if constexpr (way == serialized) {
            in.take(1);
            value.serialize(in);
        } else if constexpr (way == optional || way == unique_pointer) {
            const auto byte = in.read_raw<std::uint8_t>();
            if (byte > 1) throw_bad_value("the presence of a value", byte);
            value.reset();
            if constexpr (way == optional) {
                if (byte == 1) value.emplace(decode<typename T::value_type>(in));
            } else {
                if (byte == 1) value = std::make_unique<typename T::element_type>(decode<typename T::element_type>(in));
            }
        } else if constexpr (way == variant) {
            detail::decode_variant(in, value, std::make_index_sequence<std::variant_size_v<T>>());
        } else if constexpr (way == map || way == set) {
            detail::decode_set(in, value);
        } else if constexpr (way == sequence) {
            detail::decode_sequence(in, value);
        } else if constexpr (way == aggregate) {
            reflection::with_fields(value, [&in](auto&... fields) { (decode(in, fields), ...); });
        }
    }
}

template <class T>
T decode(decoder& in) {
    static_assert(std::default_initializable<T>,
                  "tercet: a value from another process is made empty and then filled in: give its class a default "
                  "constructor");
    T value{};
    decode(in, value);
    return value;
}

template <class... T>
encoder& encoder::operator()(const T&... values) {
    (encode(*this, values), ...);
    return *this;
}

template <class... T>
decoder& decoder::operator()(T&... values) {
    (decode(*this, values), ...);
    return *this;
}

}  // namespace tercet::multiprocessing
