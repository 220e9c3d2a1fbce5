// One number holds what was set: 0, or a method and one more. It travels to children as that number.

#include <tercet/futures/errors.hpp>
#include <tercet/multiprocessing/context.hpp>
#include <tercet/multiprocessing/start_method.hpp>

#include <fmt/format.h>

#include <atomic>
#include <stdexcept>

#include "default_start_method.hpp"

namespace tercet::multiprocessing {

namespace {

std::atomic<std::uint32_t> chosen{0};

constexpr std::uint32_t number_of(start_method method) { return static_cast<std::uint32_t>(method) + 1; }

}  // namespace

std::string_view to_string(start_method method) noexcept {
    switch (method) {
        case start_method::spawn:
            return "spawn";
        case start_method::fork:
            return "fork";
        case start_method::forkserver:
            break;
    }
    return "forkserver";
}

void set_start_method(start_method method, set_start_method_options options) {
    std::uint32_t before = 0;
    if (options.force)
        chosen.store(number_of(method));
    else if (!chosen.compare_exchange_strong(before, number_of(method)))
        throw invalid_state_error(
            fmt::format("set_start_method({}): it was set to {} before; {{.force = true}} sets it again",
                        to_string(method), to_string(static_cast<start_method>(before - 1))));
}

start_method get_start_method() noexcept {
    const std::uint32_t number = chosen.load();
    return number == 0 ? start_method::forkserver : static_cast<start_method>(number - 1);
}

context get_context(std::string_view name) {
    for (const auto each : get_all_start_methods())
        if (to_string(each) == name) return context(each);
    throw std::invalid_argument(
        fmt::format("get_context(\"{}\"): there is no such start method; there are forkserver, spawn and fork", name));
}

std::uint32_t default_start_method() noexcept { return chosen.load(); }

void inherit_default_start_method(std::uint32_t number) noexcept {
    if (number <= number_of(get_all_start_methods().back())) chosen.store(number);
}

}  // namespace tercet::multiprocessing
