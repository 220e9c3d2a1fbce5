#pragma once

#include <concepts>
#include <cstddef>
#include <type_traits>
#include <utility>

// Fields of aggregates by structured bindings. The number of fields is found by asking with how many values an
// aggregate can be initialised. A C array is initialised with one value for each element (braces may be left out), so a
// second pass asks for each value whether it and its neighbours fit into one pair of braces: those are one field.

namespace tercet::multiprocessing::reflection {

/// How many fields, and elements of C arrays, an aggregate may have.
inline constexpr std::size_t max_fields = 32;
inline constexpr std::size_t max_values = 256;

struct anything {
    constexpr explicit anything(std::size_t) noexcept {}
    template <class T>
    operator T() const;  // NOLINT(google-explicit-constructor): stands for a value of any type
};

template <class Derived>
struct any_base_of {
    template <class Base>
        requires(std::is_base_of_v<Base, Derived> && !std::same_as<Base, Derived>)
    operator Base() const;  // NOLINT(google-explicit-constructor)
};

template <class T>
inline constexpr bool has_base = requires {
    T{any_base_of<T>()};
};

template <class T, std::size_t... I>
consteval bool takes_values(std::index_sequence<I...>) {
    return requires { T{anything(I)...}; };
}

template <class T, std::size_t... I>
consteval bool takes_parentheses(std::index_sequence<I...>) {
    return requires { T(anything(I)...); };
}

template <class T, std::size_t... Before, std::size_t... Inside, std::size_t... After>
consteval bool takes_braces(std::index_sequence<Before...>, std::index_sequence<Inside...>,
                            std::index_sequence<After...>) {
    return requires { T{anything(Before)..., {anything(Inside)...}, anything(After)...}; };
}

/// With how many values `T` can be initialised at most; `max_values` + 1 for more than can be counted.
template <class T, std::size_t N = 0, bool Found = false>
consteval std::size_t count_values() {
    if constexpr (N > max_values) {
        return N;
    } else if constexpr (takes_values<T>(std::make_index_sequence<N>())) {
        return count_values<T, N + 1, true>();
    } else if constexpr (Found || N > sizeof(T)) {
        return N == 0 ? 0 : N - 1;
    } else {
        return count_values<T, N + 1, false>();
    }
}

/// How many of the values from `Index` on belong to one field.
template <class T, std::size_t Index, std::size_t Size, std::size_t Rest>
consteval std::size_t values_of_field() {
    if constexpr (Size <= 1) {
        return 1;
    } else if constexpr (takes_braces<T>(std::make_index_sequence<Index>(), std::make_index_sequence<Size>(),
                                         std::make_index_sequence<Rest>()) &&
                         !takes_braces<T>(std::make_index_sequence<Index>(), std::make_index_sequence<Size>(),
                                          std::make_index_sequence<Rest + 1>())) {
        return Size;
    } else {
        return values_of_field<T, Index, Size - 1, Rest + 1>();
    }
}

template <class T, std::size_t Values, std::size_t Index = 0>
consteval std::size_t count_fields() {
    if constexpr (Index >= Values)
        return 0;
    else
        return 1 + count_fields<T, Values, Index + values_of_field<T, Index, Values - Index, 0>()>();
}

/// The number of fields of the aggregate `T`, a C array being one.
template <class T>
consteval std::size_t field_count() {
    constexpr std::size_t values = count_values<T>();
    static_assert(values <= max_values,
                  "tercet: this aggregate has too many fields or array elements to be sent field by field: use "
                  "std::array, or give it a member serialize(Archive&)");
    if constexpr (values > max_values)
        return 0;
    else if constexpr (values <= 1 || takes_parentheses<T>(std::make_index_sequence<values>()))
        return values;
    else
        return count_fields<T, values>();
}

/// Calls `fn` with the fields of `object`.
template <class T, class Fn>
constexpr decltype(auto) with_fields(T& object, Fn&& fn) {
    constexpr std::size_t count = field_count<std::remove_const_t<T>>();
    static_assert(count <= max_fields,
                  "tercet: this aggregate has more than 32 fields: give it a member serialize(Archive&)");
    if constexpr (count == 0 || count > max_fields) {
        return fn();
    } else if constexpr (count == 1) {
        auto& [f1] = object;
        return fn(f1);
    } else if constexpr (count == 2) {
        auto& [f1, f2] = object;
        return fn(f1, f2);
    } else if constexpr (count == 3) {
        auto& [f1, f2, f3] = object;
        return fn(f1, f2, f3);
    } else if constexpr (count == 4) {
        auto& [f1, f2, f3, f4] = object;
        return fn(f1, f2, f3, f4);
    } else if constexpr (count == 5) {
        auto& [f1, f2, f3, f4, f5] = object;
        return fn(f1, f2, f3, f4, f5);
    } else if constexpr (count == 6) {
        auto& [f1, f2, f3, f4, f5, f6] = object;
        return fn(f1, f2, f3, f4, f5, f6);
    } else if constexpr (count == 7) {
        auto& [f1, f2, f3, f4, f5, f6, f7] = object;
        return fn(f1, f2, f3, f4, f5, f6, f7);
    } else if constexpr (count == 8) {
        auto& [f1, f2, f3, f4, f5, f6, f7, f8] = object;
        return fn(f1, f2, f3, f4, f5, f6, f7, f8);
    } else if constexpr (count == 9) {
        auto& [f1, f2, f3, f4, f5, f6, f7, f8, f9] = object;
        return fn(f1, f2, f3, f4, f5, f6, f7, f8, f9);
    } else if constexpr (count == 10) {
        auto& [f1, f2, f3, f4, f5, f6, f7, f8, f9, f10] = object;
        return fn(f1, f2, f3, f4, f5, f6, f7, f8, f9, f10);
    } else if constexpr (count == 11) {
        auto& [f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11] = object;
        return fn(f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11);
    } else if constexpr (count == 12) {
        auto& [f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12] = object;
        return fn(f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12);
    } else if constexpr (count == 13) {
        auto& [f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13] = object;
        return fn(f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13);
    } else if constexpr (count == 14) {
        auto& [f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14] = object;
        return fn(f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14);
    } else if constexpr (count == 15) {
        auto& [f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15] = object;
        return fn(f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15);
    } else if constexpr (count == 16) {
        auto& [f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16] = object;
        return fn(f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16);
    } else if constexpr (count == 17) {
        auto& [f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17] = object;
        return fn(f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17);
    } else if constexpr (count == 18) {
        auto& [f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17, f18] = object;
        return fn(f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17, f18);
    } else if constexpr (count == 19) {
        auto& [f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17, f18, f19] = object;
        return fn(f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17, f18, f19);
    } else if constexpr (count == 20) {
        auto& [f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17, f18, f19, f20] = object;
        return fn(f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17, f18, f19, f20);
    } else if constexpr (count == 21) {
        auto& [f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17, f18, f19, f20, f21] = object;
        return fn(f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17, f18, f19, f20, f21);
    } else if constexpr (count == 22) {
        auto& [f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17, f18, f19, f20, f21, f22] =
            object;
        return fn(f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17, f18, f19, f20, f21, f22);
    } else if constexpr (count == 23) {
        auto& [f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17, f18, f19, f20, f21, f22,
               f23] = object;
        return fn(f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17, f18, f19, f20, f21, f22,
                  f23);
    } else if constexpr (count == 24) {
        auto& [f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17, f18, f19, f20, f21, f22, f23,
               f24] = object;
        return fn(f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17, f18, f19, f20, f21, f22,
                  f23, f24);
    } else if constexpr (count == 25) {
        auto& [f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17, f18, f19, f20, f21, f22, f23,
               f24, f25] = object;
        return fn(f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17, f18, f19, f20, f21, f22,
                  f23, f24, f25);
    } else if constexpr (count == 26) {
        auto& [f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17, f18, f19, f20, f21, f22, f23,
               f24, f25, f26] = object;
        return fn(f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17, f18, f19, f20, f21, f22,
                  f23, f24, f25, f26);
    } else if constexpr (count == 27) {
        auto& [f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17, f18, f19, f20, f21, f22, f23,
               f24, f25, f26, f27] = object;
        return fn(f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17, f18, f19, f20, f21, f22,
                  f23, f24, f25, f26, f27);
    } else if constexpr (count == 28) {
        auto& [f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17, f18, f19, f20, f21, f22, f23,
               f24, f25, f26, f27, f28] = object;
        return fn(f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17, f18, f19, f20, f21, f22,
                  f23, f24, f25, f26, f27, f28);
    } else if constexpr (count == 29) {
        auto& [f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17, f18, f19, f20, f21, f22, f23,
               f24, f25, f26, f27, f28, f29] = object;
        return fn(f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17, f18, f19, f20, f21, f22,
                  f23, f24, f25, f26, f27, f28, f29);
    } else if constexpr (count == 30) {
        auto& [f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17, f18, f19, f20, f21, f22, f23,
               f24, f25, f26, f27, f28, f29, f30] = object;
        return fn(f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17, f18, f19, f20, f21, f22,
                  f23, f24, f25, f26, f27, f28, f29, f30);
    } else if constexpr (count == 31) {
        auto& [f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17, f18, f19, f20, f21, f22, f23,
               f24, f25, f26, f27, f28, f29, f30, f31] = object;
        return fn(f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17, f18, f19, f20, f21, f22,
                  f23, f24, f25, f26, f27, f28, f29, f30, f31);
    } else if constexpr (count == 32) {
        auto& [f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17, f18, f19, f20, f21, f22, f23,
               f24, f25, f26, f27, f28, f29, f30, f31, f32] = object;
        return fn(f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17, f18, f19, f20, f21, f22,
                  f23, f24, f25, f26, f27, f28, f29, f30, f31, f32);
    }
}

}  // namespace tercet::multiprocessing::reflection
