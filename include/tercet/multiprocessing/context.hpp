#pragma once

#include <tercet/multiprocessing/pool.hpp>
#include <tercet/multiprocessing/process.hpp>
#include <tercet/multiprocessing/process_pool_executor.hpp>
#include <tercet/multiprocessing/start_method.hpp>

#include <optional>
#include <string_view>
#include <utility>

namespace tercet::multiprocessing {

/// Makes pools and processes that start by one method, whatever the default is.
///
///     const auto fresh = get_context(start_method::spawn);
///     auto pool = fresh.process_pool_executor({.max_workers = 4});
class context {
public:
    explicit context(start_method method) noexcept : method_(method) {}

    start_method get_start_method() const noexcept { return method_; }

    /// As the constructor; `options.start_method` is that of this context.
    multiprocessing::process_pool_executor process_pool_executor(process_pool_options options = {}) const {
        options.start_method = method_;
        return multiprocessing::process_pool_executor(std::move(options));
    }

    /// As the constructor; the same.
    multiprocessing::pool pool(process_pool_options options = {}) const {
        options.start_method = method_;
        return multiprocessing::pool(std::move(options));
    }

    /// As the constructor; the same.
    template <class Fn, class... Args>
    multiprocessing::process process(process_options options, Fn&& fn, Args&&... args) const {
        options.start_method = method_;
        return multiprocessing::process(std::move(options), std::forward<Fn>(fn), std::forward<Args>(args)...);
    }
    template <class Fn, class... Args>
        requires(!std::same_as<std::remove_cvref_t<Fn>, process_options>)
    multiprocessing::process process(Fn&& fn, Args&&... args)
    const { return process(process_options{}, std::forward<Fn>(fn), std::forward<Args>(args)...); }

private:
    start_method method_;
};

/// The context of that method, or of `get_start_method()`.
inline context get_context() noexcept { return context(get_start_method()); }
inline context get_context(start_method method) noexcept { return context(method); }
/// By its name. Throws `std::invalid_argument` when there is none of that name.
context get_context(std::string_view name);

}  // namespace tercet::multiprocessing
