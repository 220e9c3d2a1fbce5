#pragma once

#include <tercet/multiprocessing/codec.hpp>

#include <concepts>
#include <exception>
#include <optional>
#include <string>
#include <type_traits>
#include <typeinfo>
#include <utility>

namespace tercet::multiprocessing {

/// How exceptions of one type travel.
struct exception_codec {
    /// Appends what `error` consists of. When it throws, type and text must do: a `remote_error` arrives.
    void (*encode)(encoder& out, const std::exception& error);
    /// Makes it again. When it throws or gives null, a `remote_error` arrives.
    std::exception_ptr (*decode)(decoder& in);
    /// `outer`, which `decode` has made, with `inner` nested in it: `with_nested<E>`. None: what was nested is lost.
    std::exception_ptr (*nest)(const std::exception_ptr& outer, const std::exception_ptr& inner) = nullptr;
};

/// `outer`, an `E`, as `std::throw_with_nested` would have thrown it while `inner` was handled.
template <std::derived_from<std::exception> E>
std::exception_ptr with_nested(const std::exception_ptr& outer, const std::exception_ptr& inner) {
    std::optional<E> value;
    try {
        std::rethrow_exception(outer);
    } catch (const E& error) {
        value.emplace(error);
    }
    try {
        std::rethrow_exception(inner);
    } catch (...) {
        try {
            if constexpr (std::derived_from<E, std::nested_exception>) {
                static_cast<std::nested_exception&>(*value) = std::nested_exception();
                throw *std::move(value);
            } else {
                std::throw_with_nested(*std::move(value));
            }
        } catch (...) {
            return std::current_exception();
        }
    }
}

/// Appends `error`, with its type and text, and what is nested in it (`std::throw_with_nested`), 32 deep. What has no codec is
/// written so that it becomes a `remote_error`.
void encode_exception(encoder& out, const std::exception_ptr& error);

/// Reads an exception back: one of the original type where that is known, else a `remote_error`. What was nested in it
/// is so again, for `std::rethrow_if_nested`. Throws `decode_error`.
std::exception_ptr decode_exception(decoder& in);

/// Makes `codec` the way in which exceptions of exactly `type` travel. Thread-safe.
void register_exception_codec(const std::type_info& type, exception_codec codec);

/// A final class cannot be thrown with something nested.
template <class E>
constexpr auto with_nested_if_possible() -> decltype(exception_codec::nest) {
    if constexpr (std::copy_constructible<E> && (!std::is_final_v<E> || std::derived_from<E, std::nested_exception>))
        return &with_nested<E>;
    else
        return nullptr;
}

/// Lets exceptions of type `E` come back from other processes as what they are, by their member `serialize(Archive&)`,
/// or else by a constructor from the text of `what()`. To be called in both processes, so best for a namespace-scope
/// constant, which is made before `main` here and before the first call in a worker:
///
///     const bool registered = register_exception<billing::rejected>();
///
/// The exceptions of the standard library and of tercet need no registration.
template <std::derived_from<std::exception> E>
bool register_exception() {
    constexpr bool has_fields = detail::has_serialize<E>;
    static_assert(
        has_fields || std::constructible_from<E, const std::string&>,
        "tercet: an exception is rebuilt by its member serialize(Archive&) and its default constructor, or by "
        "a constructor from a std::string: give it one of them");
    register_exception_codec(typeid(E), {[](encoder& out, const std::exception& error) {
                                             if constexpr (has_fields)
                                                 encode(out, dynamic_cast<const E&>(error));
                                             else
                                                 encode(out, std::string(error.what()));
                                         },
                                         [](decoder& in) {
                                             if constexpr (has_fields)
                                                 return std::make_exception_ptr(decode<E>(in));
                                             else
                                                 return std::make_exception_ptr(E(decode<std::string>(in)));
                                         },
                                         with_nested_if_possible<E>()});
    return true;
}

}  // namespace tercet::multiprocessing
