#pragma once

#include <tercet/futures/errors.hpp>

#include <mutex>
#include <string>
#include <string_view>
#include <vector>

/// Collects what is reported as unread while it lives.
class unread_errors {
public:
    unread_errors() : before_(tercet::set_unread_error_hook(&note)) {
        const std::scoped_lock guard(mutex());
        list().clear();
    }
    unread_errors(const unread_errors&) = delete;
    unread_errors& operator=(const unread_errors&) = delete;
    ~unread_errors() { tercet::set_unread_error_hook(before_); }

    std::vector<std::string> texts() const {
        const std::scoped_lock guard(mutex());
        return list();
    }

private:
    static std::mutex& mutex() {
        static std::mutex instance;
        return instance;
    }
    static std::vector<std::string>& list() {
        static std::vector<std::string> instance;
        return instance;
    }
    static void note(const std::exception_ptr& error, std::string_view origin) noexcept {
        const std::scoped_lock guard(mutex());
        list().push_back(std::string(origin) + ": " + tercet::describe(error));
    }

    tercet::unread_error_hook before_;
};
