#pragma once

#include <tercet/futures/errors.hpp>

#include <concepts>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>

namespace tercet::asyncio {

struct context_values;

/// The values of all `context_var`s at a moment: Python's Context. Cheap to copy; a copy does not change with the
/// original. Any thread, each object by one at a time.
class context {
public:
    /// Every variable has its default.
    context() noexcept = default;
    context(const context& other) noexcept : values_(other.values_) {
        if (values_) add_reference();
    }
    context(context&& other) noexcept : values_(std::exchange(other.values_, nullptr)) {}
    context& operator=(context other) noexcept {
        std::swap(values_, other.values_);
        return *this;
    }
    ~context() {
        if (values_) release();
    }

    /// A copy of the context of the running task; in a callback or outside a loop, of the thread's.
    static context current() noexcept;

    /// Calls `fn()` with these values as the current ones; what it sets stays in this object.
    template <std::invocable Fn>
    decltype(auto) run(Fn&& fn) {
        const entered scope(*this);
        return std::invoke(std::forward<Fn>(fn));
    }

    /// Makes a context the current one, and takes it back with what was set meanwhile.
    class entered {
    public:
        explicit entered(context& inside) noexcept;
        entered(const entered&) = delete;
        entered& operator=(const entered&) = delete;
        ~entered();

    private:
        context& inside_;
        context& current_;
    };

private:
    friend class context_variable;

    static context& current_slot() noexcept;
    void add_reference() const noexcept;
    void release() noexcept;

    const context_values* values_ = nullptr;  // immutable, shared; null: none was set
};

/// What `context_var`s of all types have in common.
class context_variable {
public:
    context_variable(const context_variable&) = delete;
    context_variable& operator=(const context_variable&) = delete;

    /// As it was given, for error texts.
    const std::string& name() const noexcept { return name_; }

protected:
    explicit context_variable(std::string name);
    ~context_variable() = default;

    std::shared_ptr<const void> find() const noexcept;
    /// Null takes the value away. Returns the one before.
    std::shared_ptr<const void> exchange(std::shared_ptr<const void> value) const;
    [[noreturn]] void throw_unset() const;

private:
    std::string name_;
    std::uint64_t number_;
};

/// A variable whose value belongs to the running task: a new task begins with a copy of the values around
/// `create_task`, sets its own and never those of others. Callbacks, and calls of `to_thread`, see the values of who
/// scheduled them. Make it a static object. Any thread.
template <std::copyable T>
class context_var : public context_variable {
public:
    /// What a variable was before `set`.
    class token {
    private:
        friend class context_var;
        token(const context_var& owner, std::shared_ptr<const void> before) noexcept
            : owner_(&owner), before_(std::move(before)) {}
        const context_var* owner_;
        std::shared_ptr<const void> before_;
    };

    /// Until it is set, `get` throws.
    explicit context_var(std::string name) : context_variable(std::move(name)) {}
    /// Until it is set, `get` returns `default_value`.
    context_var(std::string name, T default_value)
        : context_variable(std::move(name)), default_(std::move(default_value)) {}

    /// The value in the current context, or the default. Throws `invalid_state_error` when there is neither.
    T get() const {
        if (const auto found = find()) return *static_cast<const T*>(found.get());
        if (!default_) throw_unset();
        return *default_;
    }
    /// The same with a default of the caller's.
    T get(T otherwise) const {
        const auto found = find();
        return found ? *static_cast<const T*>(found.get()) : std::move(otherwise);
    }

    /// Sets the value in the current context; the token takes it back.
    token set(T value) const { return token(*this, exchange(std::make_shared<const T>(std::move(value)))); }

    /// Gives the variable the value that it had before `set`. Throws `invalid_state_error` for a token of another
    /// variable, and for one that was used.
    void reset(token& used) const {
        if (std::exchange(used.owner_, nullptr) != this)
            throw invalid_state_error("context_var " + name() + ": reset with a token of another, or used before");
        exchange(std::move(used.before_));
    }

private:
    std::optional<T> default_;
};

}  // namespace tercet::asyncio
