#pragma once

#include <tercet/multiprocessing/managed_object.hpp>
#include <tercet/multiprocessing/manager_link.hpp>

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>

namespace tercet::multiprocessing {

namespace served {

/// How long a call may wait in the manager; nothing: for ever. `time_limit::duration`, as it travels.
using wait_time = std::optional<std::chrono::nanoseconds>;

}  // namespace served

/// What all proxies have in common. A handle: copies refer to the same object, also one that was sent to another
/// process, as an argument, in a message or inside another managed object. The object goes when nobody has a proxy of
/// it any more, those counted who were killed. In each process it costs one file descriptor, and like other values with
/// descriptors it can lie in no `queue` of shared memory, and not travel over TCP. Who is sent a proxy is sent the key
/// of the manager with it.
class proxy_base {
public:
    /// Whether it refers to an object. One that was made empty, to be filled in, does not.
    bool valid() const noexcept { return static_cast<bool>(link_); }
    /// Whether both refer to the same object.
    friend bool operator==(const proxy_base& a, const proxy_base& b) noexcept {
        return a.number_ == b.number_ && a.valid() == b.valid() && (!a.valid() || a.link_->address == b.link_->address);
    }

    template <class Archive>
    void serialize(Archive& archive) {
        bool is_valid = valid();
        archive(is_valid);
        if (!is_valid) {
            *this = proxy_base();
        } else if constexpr (Archive::is_saving) {
            archive(number_, link_->address, link_->authkey, link_->pid);
            archive.write_descriptor(anchor_->get());
        } else {
            manager_link link;
            archive(number_, link.address, link.authkey, link.pid);
            anchor_ = std::make_shared<const unique_fd>(archive.read_descriptor());
            link_ = std::make_shared<const manager_link>(std::move(link));
        }
    }

protected:
    proxy_base() noexcept = default;
    proxy_base(std::shared_ptr<const manager_link> link, detail::object_handle object)
        : link_(std::move(link)),
          anchor_(std::make_shared<const unique_fd>(std::move(object.anchor))),
          number_(object.number) {}

    /// Throws `invalid_state_error` when it is empty.
    const manager_link& link() const;
    std::uint64_t number() const noexcept { return number_; }

private:
    std::shared_ptr<const manager_link> link_;
    std::shared_ptr<const unique_fd> anchor_;
    std::uint64_t number_ = 0;
};

/// A `T` in a manager, as other processes have it. Made by `manager::create<T>`. Any thread.
///
///     proxy<account> shared = m.create<account>("Ada");
///     shared.call<&account::deposit>(100);
///     long total = shared.apply([](const account& a, long more) { return a.balance() + more; }, 5);
///
/// Calls are made in the manager, with arguments and results by value, as those of a process pool; one at a time for
/// one object, unless `T` is a `thread_safe_object`. So a call that waits keeps the object to itself, and one that uses
/// a proxy of its own object waits for itself. All calls throw what the method throws, `manager_died`,
/// `invalid_state_error` when the proxy is empty.
template <class T>
class proxy : public proxy_base {
public:
    proxy() noexcept = default;
    proxy(std::shared_ptr<const manager_link> link, detail::object_handle object)
        : proxy_base(std::move(link), std::move(object)) {}

    /// Calls a member function of the object. Of those that have overloads, name one: `call<static_cast<…>(&T::f)>`.
    template <auto Method, class... Args>
    auto call(const Args&... args) const {
        return link().call(detail::method_call<Method>(), reference(), args...);
    }
    /// Calls `fn(object, args...)`, a function or a lambda without captures, in one go: nothing comes between what it
    /// reads and what it writes.
    template <class Fn, class... Args>
    auto apply(Fn fn, const Args&... args) const {
        return link().call(detail::function_call<Fn>{std::move(fn)}, reference(), args...);
    }

    /// For calls that take another object of the same manager.
    detail::object_reference<T> reference() const noexcept { return detail::object_reference<T>(number()); }
};

}  // namespace tercet::multiprocessing
