#include <tercet/futures/blocking_ban.hpp>
#include <tercet/futures/errors.hpp>

#include <fmt/format.h>

#include <utility>

namespace tercet {

namespace {

constinit thread_local const char* current_advice = nullptr;

}  // namespace

// Not inlined: a coroutine may be resumed on another thread than the one on which its frame last saw a thread_local.
[[gnu::noinline]] blocking_ban::blocking_ban(const char* advice) noexcept
    : before_(std::exchange(current_advice, advice)) {}

[[gnu::noinline]] blocking_ban::~blocking_ban() { current_advice = before_; }

[[gnu::noinline]] void blocking_ban::check(const char* call) {
    if (current_advice) throw invalid_state_error(fmt::format("{}: {}", call, current_advice));
}

}  // namespace tercet
