#include <tercet/asyncio/environment.hpp>

#include <unistd.h>

#include <stdexcept>

namespace tercet::asyncio {

environment::environment(std::initializer_list<std::pair<std::string_view, std::string_view>> variables) {
    for (const auto& [name, value] : variables) set(name, value);
}

environment environment::current() {
    environment copy;
    for (char** line = environ; line && *line; ++line) {
        const std::string_view text(*line);
        const std::size_t end = text.find('=');
        if (end != 0 && end != std::string_view::npos) copy.set(text.substr(0, end), text.substr(end + 1));
    }
    return copy;
}

environment& environment::set(std::string_view name, std::string_view value) {
    if (name.empty() || name.find_first_of(std::string_view("=\0", 2)) != std::string_view::npos)
        throw std::invalid_argument("environment: \"" + std::string(name) + "\" is no name of a variable");
    if (value.find('\0') != std::string_view::npos)
        throw std::invalid_argument("environment: the value of " + std::string(name) + " has a zero byte");
    variables_.insert_or_assign(std::string(name), std::string(value));
    return *this;
}

environment& environment::unset(std::string_view name) {
    if (const auto found = variables_.find(name); found != variables_.end()) variables_.erase(found);
    return *this;
}

std::vector<std::string> environment::lines() const {
    std::vector<std::string> lines;
    lines.reserve(variables_.size());
    for (const auto& [name, value] : variables_) lines.push_back(name + '=' + value);
    return lines;
}

}  // namespace tercet::asyncio
