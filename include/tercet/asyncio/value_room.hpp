#pragma once

#include <memory>
#include <type_traits>
#include <utility>

namespace tercet::asyncio {

/// Room for a value of which somebody else knows whether it is there. A reference is kept as a pointer.
template <class T>
class value_room {
    using stored = std::conditional_t<std::is_reference_v<T>, std::remove_reference_t<T>*, T>;

public:
    value_room() noexcept {}  // NOLINT(modernize-use-equals-default): a union member has no default
    ~value_room() {}          // NOLINT(modernize-use-equals-default)
    value_room(const value_room&) = delete;
    value_room& operator=(const value_room&) = delete;

    template <class... Args>
    void emplace(Args&&... args) {
        if constexpr (std::is_reference_v<T>)
            std::construct_at(&value_, std::addressof(args)...);
        else
            std::construct_at(&value_, std::forward<Args>(args)...);
    }
    void destroy() noexcept { std::destroy_at(&value_); }

    std::add_lvalue_reference_t<T> value() noexcept {
        if constexpr (std::is_reference_v<T>)
            return *value_;
        else
            return value_;
    }
    /// The value, moved out.
    T take() noexcept(std::is_reference_v<T> || std::is_nothrow_move_constructible_v<T>) {
        if constexpr (std::is_reference_v<T>)
            return static_cast<T>(*value_);
        else
            return std::move(value_);
    }

private:
    union {
        stored value_;
    };
};

template <>
class value_room<void> {
public:
    void emplace() noexcept {}
    void destroy() noexcept {}
    void value() const noexcept {}
    void take() const noexcept {}
};

}  // namespace tercet::asyncio
