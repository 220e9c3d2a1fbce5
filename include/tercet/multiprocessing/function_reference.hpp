#pragma once

#include <tercet/multiprocessing/archive.hpp>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace tercet::multiprocessing {

/// Names a loaded program or shared library by its content: its build-id, or device, inode and size of its file when it
/// was linked without one.
struct module_id {
    std::array<std::uint8_t, 40> bytes;  ///< kind, length, value, zeros
    friend bool operator==(const module_id&, const module_id&) = default;
};

/// The place of a function or of a constant in a module, which is the same in every process that has loaded it.
struct function_reference {
    module_id module;
    std::uint64_t offset;
};

/// What a call in another process refers to: a constant in the program's image, one for each signature.
struct remote_function {
    static constexpr std::uint64_t expected_magic = 0x74657263'65740001;

    std::uint64_t magic;
    std::uint64_t signature;  ///< hash of the types of the function, its arguments and its result
    /// Reads the function and its arguments, calls it, and writes the result.
    void (*call)(decoder& arguments, encoder& result);
};

/// The reference of `address` in a module of this process. Throws `std::invalid_argument` when it lies in none, as that
/// of generated code. Thread-safe.
function_reference reference_to(const void* address);

/// The reference of one address, which is looked up once. Without a lock: a static object of a function would leave the
/// child of a fork waiting for a thread that was making it. Thread-safe.
class remembered_reference {
public:
    constexpr remembered_reference() noexcept = default;
    /// Throws as `reference_to`. Always the same address.
    const function_reference& to(const void* address) {
        const function_reference* const known = known_.load(std::memory_order_acquire);
        return known ? *known : look_up(address);
    }

private:
    const function_reference& look_up(const void* address);

    std::atomic<const function_reference*> known_{nullptr};  // never freed
};

/// The remote function that `reference` names. Throws `decode_error` when the module is not loaded in this process, the
/// offset is not in it, or what lies there is not a remote function with this `signature`. Thread-safe.
const remote_function& resolve_remote_function(const function_reference& reference, std::uint64_t signature);

/// The address of the code that `reference` names. Throws `decode_error` when it is not in an executable segment.
/// Thread-safe.
void* resolve_code(const function_reference& reference);

}  // namespace tercet::multiprocessing
