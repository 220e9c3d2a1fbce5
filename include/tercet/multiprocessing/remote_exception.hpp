#pragma once

#include <tercet/multiprocessing/codec.hpp>

#include <concepts>
#include <exception>
#include <string>
#include <type_traits>
#include <typeinfo>

namespace tercet::multiprocessing {

/// How exceptions of one type travel.
struct exception_codec {
    void (*encode)(encoder& out, const std::exception& error);
    std::exception_ptr (*decode)(decoder& in);
};

/// Appends `error`, with its type and text. What has no codec is written so that it becomes a `remote_error`.
void encode_exception(encoder& out, const std::exception_ptr& error);

/// Reads an exception back: one of the original type where that is known, else a `remote_error`. Throws `decode_error`.
std::exception_ptr decode_exception(decoder& in);

/// Makes `codec` the way in which exceptions of exactly `type` travel. Thread-safe.
void register_exception_codec(const std::type_info& type, exception_codec codec);

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
                                         }});
    return true;
}

}  // namespace tercet::multiprocessing
