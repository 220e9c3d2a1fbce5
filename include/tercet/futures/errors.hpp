#pragma once

#include <exception>
#include <functional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tercet {

/// The work was cancelled before it had a result. Not a `std::runtime_error`, so that a handler for failures
/// does not take a cancellation for one.
class cancelled_error : public std::exception {
public:
    cancelled_error() = default;
    /// `message` says who cancelled and why.
    explicit cancelled_error(std::string message) : message_(std::move(message)) {}
    const char* what() const noexcept override { return message_.c_str(); }

private:
    std::string message_ = "cancelled";
};

/// A deadline passed. The only timeout error of the library, whichever module throws it.
class timeout_error : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

/// An operation that the state of its object does not allow: a second result, a result of nothing.
class invalid_state_error : public std::logic_error {
public:
    using std::logic_error::logic_error;
};

/// Work was given to an executor that has shut down.
class executor_shutdown : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

/// A bounded queue has no room and its policy is to refuse.
class queue_full : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

/// A queue had nothing to give in the time that it was given.
class queue_empty : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

/// A queue was shut down: it takes no more items, and has none left for who asks.
class queue_shutdown : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

/// A barrier that a party has left, or that was aborted: the others would wait for ever.
class broken_barrier_error : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

/// An executor cannot work any more; its pending futures fail with this.
class broken_executor : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

/// Several errors that belong together, in the order in which they occurred.
class exception_group : public std::runtime_error {
public:
    /// `message` heads `what()`, which lists the errors below it. Throws `std::invalid_argument` when `errors` is
    /// empty.
    exception_group(const std::string& message, std::vector<std::exception_ptr> errors);
    /// The errors, in the order in which they occurred; at least one.
    const std::vector<std::exception_ptr>& errors() const noexcept { return errors_; }

private:
    std::vector<std::exception_ptr> errors_;
};

/// One line for a person: the type and the text of `error`, and of what is nested in it ("load: bad row; because of
/// std::system_error: open x: No such file or directory"); "no error" for null.
std::string describe(const std::exception_ptr& error);

/// The exception that `make` returns; what it throws instead, as when there is no memory for the text.
template <class Make>
std::exception_ptr exception_of(Make&& make) noexcept {
    try {
        return std::make_exception_ptr(std::forward<Make>(make)());
    } catch (...) {
        return std::current_exception();
    }
}

/// Called with an error that nobody will read any more, and where it came from. Must not throw.
using unread_error_hook = void (*)(const std::exception_ptr& error, std::string_view origin) noexcept;

/// Installs `hook` for errors that nobody reads and returns the one before. The first hook writes one line to
/// standard error; null silences the report. Thread-safe.
unread_error_hook set_unread_error_hook(unread_error_hook hook) noexcept;

/// Reports `error` through the hook. Thread-safe.
void report_unread_error(const std::exception_ptr& error, std::string_view origin) noexcept;

}  // namespace tercet
