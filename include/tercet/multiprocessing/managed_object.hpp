#pragma once

#include <tercet/multiprocessing/errors.hpp>
#include <tercet/multiprocessing/remote_call.hpp>
#include <tercet/multiprocessing/unique_fd.hpp>

#include <concepts>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <type_traits>
#include <typeinfo>
#include <utility>

// What calls of proxies consist of on the manager's side. Users see only `thread_safe_object`.

namespace tercet::multiprocessing {

/// A class that says `static constexpr bool is_thread_safe = true;`: a manager lets several calls of one such object
/// run at once. Of every other object, one at a time.
template <class T>
concept thread_safe_object = requires {
    requires T::is_thread_safe;
};

namespace detail {

/// An object in the process of its manager.
class managed_object {
public:
    explicit managed_object(const std::type_info& class_of_it) noexcept : type(class_of_it) {}
    managed_object(const managed_object&) = delete;
    managed_object& operator=(const managed_object&) = delete;
    virtual ~managed_object() = default;

    const std::type_info& type;
    std::mutex one_at_a_time;
};

template <class T>
class object_holder final : public managed_object {
public:
    template <class... Args>
    explicit object_holder(Args&&... args) : managed_object(typeid(T)), value(std::forward<Args>(args)...) {}

    T value;
};

/// An object of a manager, and what keeps it: one end of a pipe, of whose other end the manager sees when it is open in
/// no process, and in no message, any more. So the kernel counts who refers to the object, also those who are killed.
struct object_handle {
    std::uint64_t number = 0;
    unique_fd anchor{};

    template <class Archive>
    void serialize(Archive& archive) {
        archive(number);
        if constexpr (Archive::is_saving)
            archive.write_descriptor(anchor.get());
        else
            anchor = archive.read_descriptor();
    }
};

/// Gives an object to the manager that this process is.
object_handle keep_object(std::shared_ptr<managed_object> object);
/// Throws `decode_error` when this process has none of that number and type.
std::shared_ptr<managed_object> find_object(std::uint64_t number, const std::type_info& type);

/// The number of an object, which in the manager becomes the object.
template <class T>
class object_reference {
public:
    object_reference() noexcept = default;
    explicit object_reference(std::uint64_t number) noexcept : number_(number) {}

    template <class Archive>
    void serialize(Archive& archive) {
        archive(number_);
        if constexpr (Archive::is_loading)
            object_ = std::static_pointer_cast<object_holder<T>>(find_object(number_, typeid(T)));
    }

    /// Calls `fn` with the object and `args`. What comes back is a value, which does not change when the object does.
    template <class Fn, class... Args>
    auto call(Fn&& fn, Args&&... args) const {
        using result_type = std::decay_t<std::invoke_result_t<Fn, T&, Args...>>;
        std::unique_lock<std::mutex> alone;
        if constexpr (!thread_safe_object<T>) alone = std::unique_lock(object_->one_at_a_time);
        if constexpr (std::is_void_v<result_type>)
            std::invoke(std::forward<Fn>(fn), object_->value, std::forward<Args>(args)...);
        else
            return result_type(std::invoke(std::forward<Fn>(fn), object_->value, std::forward<Args>(args)...));
    }

    /// For objects that refer to others.
    T& value() const noexcept { return object_->value; }

private:
    std::uint64_t number_ = 0;
    std::shared_ptr<object_holder<T>> object_;
};

/// Makes an object in the manager.
template <class T>
struct object_maker {
    template <class... Args>
        requires requires(Args&&... args) { T(std::forward<Args>(args)...); }
    object_handle operator()(Args&&... args) const {
        return keep_object(std::make_shared<object_holder<T>>(std::forward<Args>(args)...));
    }
};

/// Calls a member function of an object of the manager.
template <auto Method>
struct method_call {
    template <class T, class... Args>
        requires std::invocable<decltype(Method), T&, Args...>
    auto operator()(const object_reference<T>& target, Args&&... args) const {
        return target.call(Method, std::forward<Args>(args)...);
    }
};

/// Calls a function with an object of the manager.
template <class Fn>
struct function_call {
    [[no_unique_address]] Fn fn;

    template <class T, class... Args>
        requires std::invocable<const Fn&, T&, Args...>
    auto operator()(const object_reference<T>& target, Args&&... args) const {
        return target.call(fn, std::forward<Args>(args)...);
    }
};

template <class Fn>
inline constexpr bool is_function_holder<function_call<Fn>> = true;

}  // namespace detail

}  // namespace tercet::multiprocessing
