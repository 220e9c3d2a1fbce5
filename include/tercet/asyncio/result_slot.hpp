#pragma once

#include <exception>
#include <memory>
#include <type_traits>
#include <utility>

namespace tercet::asyncio {

/// Room for what a coroutine gives: nothing yet, a value, or an error. A reference is kept as a pointer.
template <class T>
class result_slot {
    using stored = std::conditional_t<std::is_reference_v<T>, std::remove_reference_t<T>*, T>;

public:
    result_slot() noexcept {}  // NOLINT(modernize-use-equals-default): a union member has no default
    result_slot(const result_slot&) = delete;
    result_slot& operator=(const result_slot&) = delete;
    ~result_slot() {
        if (content_ == content::value)
            std::destroy_at(&value_);
        else if (content_ == content::error)
            std::destroy_at(&error_);
    }

    /// Stores the value. Once, and not after an error.
    template <class... Args>
    void emplace(Args&&... args) {
        if constexpr (std::is_reference_v<T>)
            std::construct_at(&value_, std::addressof(args)...);
        else
            std::construct_at(&value_, std::forward<Args>(args)...);
        content_ = content::value;
    }

    /// Stores the error. A value whose storing failed may stand in for none.
    void fail(std::exception_ptr error) noexcept {
        if (content_ == content::value) std::destroy_at(&value_);
        std::construct_at(&error_, std::move(error));
        content_ = content::error;
    }

    bool has_value() const noexcept { return content_ == content::value; }
    /// Null when there is no error.
    std::exception_ptr error() const noexcept { return content_ == content::error ? error_ : nullptr; }

    void throw_if_failed() const {
        if (content_ == content::error) std::rethrow_exception(error_);
    }

    /// The value; it must be there.
    std::add_lvalue_reference_t<T> value() noexcept {
        if constexpr (std::is_reference_v<T>)
            return *value_;
        else
            return value_;
    }

    /// The value, moved out; it must be there.
    T take() noexcept(std::is_reference_v<T> || std::is_nothrow_move_constructible_v<T>) {
        if constexpr (std::is_reference_v<T>)
            return static_cast<T>(*value_);
        else
            return std::move(value_);
    }

private:
    enum class content : unsigned char { nothing, value, error };
    union {
        stored value_;
        std::exception_ptr error_;
    };
    content content_ = content::nothing;
};

/// Without a value there is an error, or none.
template <>
class result_slot<void> {
public:
    void emplace() noexcept {}
    void fail(std::exception_ptr error) noexcept { error_ = std::move(error); }
    std::exception_ptr error() const noexcept { return error_; }
    void throw_if_failed() const {
        if (error_) std::rethrow_exception(error_);
    }
    void value() const noexcept {}
    void take() const noexcept {}

private:
    std::exception_ptr error_;
};

}  // namespace tercet::asyncio
