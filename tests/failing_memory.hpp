#pragma once

#include <exception>
#include <functional>
#include <string_view>

/// Lets operator new fail; the program has to have failing_memory.cpp in it.
namespace failing_memory {

/// From now on, on any thread: `after` allocations succeed and the next `count` fail.
void begin(long after, long count) noexcept;
/// All succeed again. Returns how many have failed.
long end() noexcept;

/// Whether `error` comes from a want of memory: it is `std::bad_alloc` or `ENOMEM`, or a group or a nesting with one in
/// it, or its text says so ("the pool's own thread failed: std::bad_alloc").
bool is_behind(const std::exception_ptr& error) noexcept;

/// What a scenario expects; googletest's own would allocate. Throws `std::logic_error`.
void require(bool holds, const char* what);

/// Runs `scenario` with its first allocation failing, then with its second, and so on to the last; then the same with
/// all that follow failing too. Each time it has to end well, or with such an error, thrown or reported as unread, and
/// with others only when one was reported as well. Afterwards it works again, and leaves no descriptors open.
void at_each_allocation(const std::function<void()>& scenario);

}  // namespace failing_memory
