// The number of a thread is given when it is first asked for. Not inline: a coroutine that goes on on another thread
// must not find the address of the first one's number in a register.

#include <tercet/threading/thread_ident.hpp>

#include <unistd.h>

#include <atomic>

namespace tercet::threading {

namespace {

constinit std::atomic<std::uint64_t> last_ident{0};
constinit thread_local std::uint64_t own_ident = 0;

}  // namespace

std::uint64_t get_ident() noexcept {
    if (own_ident == 0) own_ident = last_ident.fetch_add(1, std::memory_order_relaxed) + 1;
    return own_ident;
}

int get_native_id() noexcept { return ::gettid(); }

}  // namespace tercet::threading
