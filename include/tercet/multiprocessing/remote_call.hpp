#pragma once

#include <tercet/futures/job.hpp>
#include <tercet/multiprocessing/capture.hpp>
#include <tercet/multiprocessing/codec.hpp>
#include <tercet/multiprocessing/function_reference.hpp>
#include <tercet/multiprocessing/type_hash.hpp>

#include <string.h>  // strnlen

#include <concepts>
#include <functional>
#include <stop_token>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>

namespace tercet::multiprocessing {

namespace detail {

template <class Fn>
inline constexpr bool is_function_pointer = std::is_pointer_v<Fn>&& std::is_function_v<std::remove_pointer_t<Fn>>;

template <class Fn>
inline constexpr bool is_captured = false;
template <class Fn, class... Values>
inline constexpr bool is_captured<captured<Fn, Values...>> = true;

/// Whether an `Fn` is nothing but a function, its member `fn`, called in some way.
template <class Fn>
inline constexpr bool is_function_holder = false;

/// Refuses at compile time what cannot be called in another process.
template <class Fn>
consteval void require_sendable_function() {
    if constexpr (is_captured<Fn> || is_function_holder<Fn>) {
        require_sendable_function<decltype(Fn::fn)>();
    } else if constexpr (std::is_class_v<Fn>) {
        constexpr bool is_value = std::is_aggregate_v<Fn> || has_serialize<Fn>;
        static_assert(
            !std::is_empty_v<Fn> || is_value || std::default_initializable<Fn>,
            "tercet: a lambda with a capture default cannot be sent to another process, even when it captures "
            "nothing: write []");
        static_assert(std::is_empty_v<Fn> || is_value,
                      "tercet: a lambda with captures cannot be sent to another process, where the captured addresses "
                      "mean nothing: pass the values as arguments, or use capture(fn, values...)");
    } else {
        static_assert(is_function_pointer<Fn>,
                      "tercet: only functions, lambdas without captures and capture(fn, values...) can be sent to "
                      "another process; wrap a member function in a lambda");
    }
}

/// Whether the type of a function is all there is to it.
template <class Fn>
inline constexpr bool is_pure_code = std::is_class_v<Fn>&& std::is_empty_v<Fn>&& std::default_initializable<Fn>;

template <class Fn>
void encode_function(encoder& out, const Fn& fn) {
    if constexpr (is_function_pointer<Fn>) {
        out.write_raw(reference_to(reinterpret_cast<const void*>(fn)));
    } else if constexpr (is_captured<Fn>) {
        encode_function(out, fn.fn);
        encode(out, fn.values);
    } else if constexpr (is_function_holder<Fn>) {
        encode_function(out, fn.fn);
    } else if constexpr (!is_pure_code<Fn>) {
        encode(out, fn);
    }
}

template <class Fn>
Fn decode_function(decoder& in) {
    if constexpr (is_function_pointer<Fn>) {
        return reinterpret_cast<Fn>(resolve_code(in.read_raw<function_reference>()));
    } else if constexpr (is_captured<Fn>) {
        auto fn = decode_function<decltype(Fn::fn)>(in);
        return Fn{std::move(fn), decode<decltype(Fn::values)>(in)};
    } else if constexpr (is_function_holder<Fn>) {
        return Fn{decode_function<decltype(Fn::fn)>(in)};
    } else if constexpr (is_pure_code<Fn>) {
        return Fn{};
    } else {
        return decode<Fn>(in);
    }
}

/// Of the call that this process of a pool runs; elsewhere one that is never asked to stop.
std::stop_token current_stop_token();

template <class Arg>
struct sent : std::decay<Arg> {};
template <std::size_t N>
struct sent<const char (&)[N]> : std::type_identity<std::string> {};

}  // namespace detail

/// As what an argument arrives in another process: a value of its own; a string literal as a `std::string`.
template <class Arg>
using sent_t = typename detail::sent<Arg>::type;

/// A call of an `Fn` with `Args`, values all of them, in another process.
template <class Fn, class... Args>
class remote_call {
public:
    static consteval bool is_sendable() {
        detail::require_sendable_function<Fn>();
        (require_transferable<Args>(), ...);
        static_assert((std::default_initializable<Args> && ...),
                      "tercet: an argument is made empty in the other process and then filled in: give its class a "
                      "default constructor");
        static_assert(takes_stop_token<Fn, Args...> || std::is_invocable_v<Fn, Args...>,
                      "tercet: the function cannot be called with these arguments: they arrive as values of their own, "
                      "so it must take them by value or by const reference, and a string literal as a std::string");
        return takes_stop_token<Fn, Args...> || std::is_invocable_v<Fn, Args...>;
    }

private:
    static constexpr bool is_checked = is_sendable();

    static auto result_of() {
        if constexpr (is_checked)
            return std::type_identity<std::decay_t<call_result_t<Fn, Args...>>>();
        else
            return std::type_identity<void>();
    }

public:
    /// Whether the function takes a `std::stop_token` first, and is given one.
    static constexpr bool is_stoppable = takes_stop_token<Fn, Args...>;

    /// What comes back: a value, also when the function returns a reference.
    using result_type = typename decltype(result_of())::type;

    /// Appends what the other side needs for the call.
    template <class F, class... As>
    static void encode_request(encoder& out, const F& fn, const As&... args) {
        static constinit remembered_reference here;
        out.write_raw(here.to(&function_));
        out.write_raw(function_.signature);
        const Fn& typed = fn;
        detail::encode_function<Fn>(out, typed);
        (encode_argument<Args>(out, args), ...);
    }

    /// Reads the result that `run_request` wrote on the other side.
    static result_type decode_result(decoder& in) {
        if (const auto hash = in.read_raw<std::uint64_t>(); hash != type_hash<result_type>)
            throw_bad_value("the type of a result", hash);
        if constexpr (std::is_void_v<result_type>) {
            in.expect_end();
        } else {
            auto result = decode<result_type>(in);
            in.expect_end();
            return result;
        }
    }

private:
    template <class Arg, class A>
    static void encode_argument(encoder& out, const A& arg) {
        if constexpr (std::is_same_v<Arg, A>)
            encode(out, arg);
        else if constexpr (std::is_same_v<Arg, std::string> && std::is_array_v<A>)  // may end without a zero
            encode(out, Arg(arg, ::strnlen(arg, std::extent_v<A>)));
        else
            encode<Arg>(out, Arg(arg));
    }

    static void call(decoder& in, encoder& out) {
        if constexpr (is_checked) {
            Fn fn = detail::decode_function<Fn>(in);
            std::tuple<Args...> args{};
            std::apply([&](Args&... each) { (decode(in, each), ...); }, args);
            in.expect_end();
            out.write_raw(type_hash<result_type>);
            const auto invoke = [&fn](Args&... each) -> decltype(auto) {
                if constexpr (takes_stop_token<Fn, Args...>)
                    return std::invoke(std::move(fn), detail::current_stop_token(), std::move(each)...);
                else
                    return std::invoke(std::move(fn), std::move(each)...);
            };
            if constexpr (std::is_void_v<result_type>)
                std::apply(invoke, args);
            else
                encode<result_type>(out, std::apply(invoke, args));
        }
    }

    static constexpr remote_function function_{remote_function::expected_magic,
                                               type_list_hash<result_type, Fn, Args...>, &call};
};

/// The call that `submit(fn, args...)` of a process pool makes.
template <class Fn, class... Args>
using remote_call_of = remote_call<std::decay_t<Fn>, sent_t<Args&&>...>;

/// Reads a request, calls its function and writes the result. Throws `decode_error`, and what the function throws.
void run_request(decoder& request, encoder& result);

}  // namespace tercet::multiprocessing
