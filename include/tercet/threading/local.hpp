#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <type_traits>
#include <utility>

namespace tercet::threading {

/// The values of one `local`, of any type; see local.cpp.
class local_values {
public:
    using make_type = std::move_only_function<std::shared_ptr<void>()>;

    local_values();
    local_values(const local_values&) = delete;
    local_values& operator=(const local_values&) = delete;
    ~local_values();

    /// The value of the calling thread; null when it has none.
    void* find() const noexcept;
    /// Gives the calling thread its value.
    void* add(std::shared_ptr<void> value);

private:
    struct core;
    std::shared_ptr<core> core_;
    std::size_t slot_;
    std::uint64_t number_;
};

/// A value for each thread that asks for it: made by a factory when a thread first does, destroyed when that thread
/// ends or this object goes, whichever is first. Any number of threads; each sees only its own value.
///
///     local<connection> database([] { return connect("test.db"); });
///     database->query(...);
template <class T>
class local {
public:
    local() requires std::default_initializable<T> : local([] { return T(); }) {}
    /// `make()` makes the value of the calling thread; several threads may call it at once. It must not ask for that
    /// value.
    template <class Make>
        requires(std::is_invocable_r_v<T, const Make&> && !std::same_as<std::remove_cvref_t<Make>, local>)
    explicit local(Make make) : make_([make = std::move(make)] { return std::shared_ptr<T>(new T(make())); }) {}

    /// The value of the calling thread. Throws what the factory throws, and has no value then.
    T& get() {
        if (void* const found = values_.find()) return *static_cast<T*>(found);
        return *static_cast<T*>(values_.add(make_()));
    }
    T& operator*() { return get(); }
    T* operator->() { return &get(); }

private:
    std::function<std::shared_ptr<T>()> make_;
    local_values values_;
};

}  // namespace tercet::threading
