#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace tercet::multiprocessing {

/// How new processes come into being. What can be sent to them is the same with all three.
///
/// `fork` copies this program as it stands, with what its memory holds at that moment, and beside the threads that are
/// in the middle of something. A lock that one of them holds (a mutex of the program, one inside a library) stays
/// locked in the copy for ever, and half-made changes stay half made. Use it only where no other thread does more than
/// wait. See docs/multiprocessing.md.
enum class start_method : std::uint8_t {
    forkserver,  ///< a copy of a small single-threaded server, which is a fresh start of this program; the default
    spawn,       ///< a fresh start of this program each time: nothing is shared with other workers; some 2 ms
    fork,        ///< a copy of this program as it stands; see above
};

/// "forkserver", "spawn" or "fork".
std::string_view to_string(start_method method) noexcept;

/// Of `set_start_method`.
struct set_start_method_options {
    bool force = false;  ///< also when it was set before
};

/// Sets what pools and processes are started by that are made from now on and do not say how. Their children begin with
/// the same. Throws `invalid_state_error` when it was set before. Thread-safe.
void set_start_method(start_method method, set_start_method_options options = {});

/// What was set, else `forkserver`. Thread-safe.
start_method get_start_method() noexcept;

/// All that there are, the default first.
constexpr std::array<start_method, 3> get_all_start_methods() noexcept {
    return {start_method::forkserver, start_method::spawn, start_method::fork};
}

}  // namespace tercet::multiprocessing
