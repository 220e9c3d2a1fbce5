#pragma once

#include <exception>
#include <type_traits>
#include <utility>
#include <variant>

namespace tercet::asyncio {

/// How one of several calls ended: a value, or an error.
template <class T>
class outcome {
public:
    using value_type = std::conditional_t<std::is_void_v<T>, std::monostate, T>;

    outcome(value_type value) : content_(std::in_place_index<0>, std::move(value)) {}  // NOLINT(*-explicit-*)
    outcome(std::exception_ptr error) noexcept                                         // NOLINT(*-explicit-*)
        : content_(std::in_place_index<1>, std::move(error)) {}

    bool has_value() const noexcept { return content_.index() == 0; }
    explicit operator bool() const noexcept { return has_value(); }

    /// The value; throws the error when there is none.
    value_type& value() & {
        throw_if_failed();
        return *std::get_if<0>(&content_);
    }
    const value_type& value() const& {
        throw_if_failed();
        return *std::get_if<0>(&content_);
    }
    value_type value() && {
        throw_if_failed();
        return std::move(*std::get_if<0>(&content_));
    }

    /// Null when there is a value.
    std::exception_ptr error() const noexcept {
        const auto* const error = std::get_if<1>(&content_);
        return error ? *error : nullptr;
    }

private:
    void throw_if_failed() const {
        if (const auto* const error = std::get_if<1>(&content_)) std::rethrow_exception(*error);
    }
    std::variant<value_type, std::exception_ptr> content_;
};

}  // namespace tercet::asyncio
