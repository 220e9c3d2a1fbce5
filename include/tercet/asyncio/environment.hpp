#pragma once

#include <functional>
#include <initializer_list>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tercet::asyncio {

/// The environment variables of a child process. A value: any thread, each object by one at a time.
class environment {
public:
    environment() = default;
    /// `environment{{"LANG", "C"}, {"PATH", "/usr/bin"}}`. Throws as `set`.
    environment(std::initializer_list<std::pair<std::string_view, std::string_view>> variables);
    /// A copy of what this process has now.
    static environment current();

    /// Gives the variable a value, its first or another. Throws `std::invalid_argument` for an empty name, one with
    /// "=", and for texts with a zero byte.
    environment& set(std::string_view name, std::string_view value);
    /// Takes the variable away, if it is there.
    environment& unset(std::string_view name);

    /// "NAME=value" each.
    std::vector<std::string> lines() const;

private:
    std::map<std::string, std::string, std::less<>> variables_;
};

}  // namespace tercet::asyncio
