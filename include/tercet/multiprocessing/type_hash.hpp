#pragma once

#include <tercet/multiprocessing/transferable.hpp>

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <type_traits>

namespace tercet::multiprocessing {

namespace detail {

template <class T>
consteval std::string_view name_of() {
    return __PRETTY_FUNCTION__;
}

constexpr std::uint64_t hash_bytes(std::string_view text, std::uint64_t hash = 0xcbf29ce484222325) {
    for (const char each : text) hash = (hash ^ static_cast<unsigned char>(each)) * 0x100000001b3;
    return hash;
}

constexpr std::uint64_t mix(std::uint64_t hash, std::uint64_t value) {
    hash ^= value + 0x9e3779b97f4a7c15 + (hash << 6) + (hash >> 2);
    return hash * 0xff51afd7ed558ccd;
}

/// Types may contain themselves (a tree), so the walk ends somewhere; names tell apart what lies deeper.
inline constexpr int hashed_levels = 5;

template <class T, int Level>
consteval std::uint64_t hash_type();

/// One evaluation for each type, so that none comes near the compilers' limits.
template <class T, int Level>
inline constexpr std::uint64_t hash_of = hash_type<T, Level>();

template <int Level, class... Ts>
consteval std::uint64_t hash_types(std::uint64_t hash) {
    ((hash = mix(hash, hash_of<std::remove_cvref_t<Ts>, Level>)), ...);
    return hash;
}

template <class T>
struct arguments_of;
template <template <class...> class Template, class... Args>
struct arguments_of<Template<Args...>> {
    template <int Level>
    static consteval std::uint64_t hash(std::uint64_t start) {
        return hash_types<Level, Args...>(start);
    }
};

template <int Level>
struct hash_fields {
    template <class... Fields>
    constexpr auto operator()(Fields&...) const
        -> std::integral_constant<std::uint64_t, hash_types<Level, Fields...>(0)> {
        return {};
    }
};

template <class T, int Level>
consteval std::uint64_t hash_type() {
    std::uint64_t hash = hash_bytes(name_of<T>());
    if constexpr (!std::is_void_v<T>) {
        constexpr travels_as way = way_of<T>();
        hash = mix(hash, mix(static_cast<std::uint64_t>(way), sizeof(T)));
        if constexpr (Level == 0)
            return hash;
        else if constexpr (way == travels_as::tuple || way == travels_as::optional || way == travels_as::variant)
            hash = arguments_of<T>::template hash<Level - 1>(hash);
        else if constexpr (way == travels_as::map)
            hash = hash_types<Level - 1, typename T::key_type, typename T::mapped_type>(hash);
        else if constexpr (way == travels_as::set || way == travels_as::sequence || way == travels_as::array)
            hash = hash_types<Level - 1, typename T::value_type>(hash);
        else if constexpr (way == travels_as::unique_pointer)
            hash = hash_types<Level - 1, typename T::element_type>(hash);
        else if constexpr (way == travels_as::c_array)
            hash = hash_types<Level - 1, std::remove_extent_t<T>>(hash);
        else if constexpr (way == travels_as::aggregate && !std::is_empty_v<T>) {
            if constexpr (!reflection::has_base<T>)
                hash =
                    mix(hash, decltype(reflection::with_fields(std::declval<T&>(), hash_fields<Level - 1>()))::value);
        }
    }
    return hash;
}

}  // namespace detail

/// A number for the type and what it is made of: a message that was written from one type is not read as another.
template <class T>
inline constexpr std::uint64_t type_hash = detail::hash_of<T, detail::hashed_levels>;

/// The same for a list of types.
template <class... Ts>
inline constexpr std::uint64_t type_list_hash = detail::hash_types<detail::hashed_levels, Ts...>(sizeof...(Ts));

}  // namespace tercet::multiprocessing
