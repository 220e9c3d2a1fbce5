#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

/// What a fuzzer has made up, taken apart piece by piece; zeros once it is used up.
class fuzz_input {
public:
    fuzz_input(const std::uint8_t* data, std::size_t size) noexcept : left_(data, size) {}

    bool is_empty() const noexcept { return left_.empty(); }

    template <class T>
    T take() noexcept {
        T value{};
        const auto bytes = take_bytes(sizeof value);
        if (!bytes.empty()) std::memcpy(&value, bytes.data(), bytes.size());
        return value;
    }
    /// At most `count`.
    std::span<const std::byte> take_bytes(std::size_t count) noexcept {
        const auto taken = left_.first(std::min(count, left_.size()));
        left_ = left_.subspan(taken.size());
        return std::as_bytes(taken);
    }
    std::span<const std::byte> rest() noexcept { return take_bytes(left_.size()); }

private:
    std::span<const std::uint8_t> left_;
};

/// Ends the program in a way that a fuzzer keeps the input of.
inline void require(bool holds) {
    if (!holds) __builtin_trap();
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);
