#include <tercet/futures/errors.hpp>

#include <cxxabi.h>
#include <fmt/format.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <memory>
#include <typeinfo>

namespace tercet {

namespace {

std::string list_of(const std::string& message, const std::vector<std::exception_ptr>& errors) {
    if (errors.empty()) throw std::invalid_argument("exception_group: no errors");
    std::string text = fmt::format("{} ({} error{})", message, errors.size(), errors.size() == 1 ? "" : "s");
    for (const auto& error : errors) text += "\n  " + describe(error);
    return text;
}

std::string type_of_current_exception() {
    const std::type_info* const type = abi::__cxa_current_exception_type();
    if (!type) return "unknown type";
    int status = 0;
    const std::unique_ptr<char, decltype(&std::free)> name(abi::__cxa_demangle(type->name(), nullptr, nullptr, &status),
                                                           &std::free);
    std::string readable = status == 0 ? name.get() : type->name();
    constexpr std::string_view nested = "std::_Nested_exception<";  // what std::throw_with_nested(E()) throws
    if (readable.starts_with(nested) && readable.ends_with('>')) {
        readable = readable.substr(nested.size(), readable.size() - nested.size() - 1);
        readable.erase(readable.find_last_not_of(' ') + 1);  // "outer<inner<int> >"
    }
    return readable;
}

std::string describe_chain(const std::exception_ptr& error, int most) {
    try {
        std::rethrow_exception(error);
    } catch (const std::exception& e) {
        std::string text = fmt::format("{}: {}", type_of_current_exception(), e.what());
        const auto* const outer = dynamic_cast<const std::nested_exception*>(&e);
        const std::exception_ptr cause = outer ? outer->nested_ptr() : nullptr;
        if (cause) text += "; because of " + (most > 0 ? describe_chain(cause, most - 1) : "more");
        return text;
    } catch (...) {
        return fmt::format("{} (not a std::exception)", type_of_current_exception());
    }
}

void write_line(const std::exception_ptr& error, std::string_view origin) noexcept {
    try {
        const std::string line = fmt::format("tercet: error that nobody read, from {}: {}\n", origin, describe(error));
        // One write, so that lines of several threads do not mix. Nothing is left to do when standard error is gone.
        [[maybe_unused]] const auto written = ::write(STDERR_FILENO, line.data(), line.size());
    } catch (...) {  // NOLINT(bugprone-empty-catch): no memory for the report of an error
    }
}

std::atomic<unread_error_hook> current_hook{&write_line};

}  // namespace

exception_group::exception_group(const std::string& message, std::vector<std::exception_ptr> errors)
    : std::runtime_error(list_of(message, errors)), errors_(std::move(errors)) {}

std::string describe(const std::exception_ptr& error) {
    constexpr int most_causes = 31;
    return error ? describe_chain(error, most_causes) : "no error";
}

unread_error_hook set_unread_error_hook(unread_error_hook hook) noexcept { return current_hook.exchange(hook); }

void report_unread_error(const std::exception_ptr& error, std::string_view origin) noexcept {
    if (const unread_error_hook hook = current_hook.load()) hook(error, origin);
}

}  // namespace tercet
