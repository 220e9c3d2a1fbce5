#include "oom_kills.hpp"

#include <fmt/format.h>

#include <exception>
#include <fstream>
#include <string>
#include <string_view>

namespace tercet::multiprocessing {

namespace {

/// The number behind the word `oom_kill`, at the beginning of a line.
std::optional<std::uint64_t> count_in(const std::string& path) {
    std::ifstream file(path);
    std::string word;
    std::uint64_t count = 0;
    while (file >> word)
        if (word == "oom_kill" && file >> count) return count;
    return std::nullopt;
}

/// The group's files; in a container its path may be that of the host, and the files are at the root.
std::optional<std::uint64_t> count_of(std::string_view mount, std::string_view group, std::string_view file) {
    if (const auto count = count_in(fmt::format("{}{}/{}", mount, group, file))) return count;
    return count_in(fmt::format("{}/{}", mount, file));
}

}  // namespace

std::optional<std::uint64_t> oom_kills() noexcept {
    try {
        std::ifstream groups("/proc/self/cgroup");  // hierarchy:controllers:path
        std::string line;
        std::optional<std::uint64_t> found;
        while (std::getline(groups, line)) {
            const std::string_view text = line;
            if (text.starts_with("0::")) {
                if (const auto count = count_of("/sys/fs/cgroup", text.substr(3), "memory.events")) found = count;
            } else if (const auto memory = text.find(":memory:"); memory != text.npos) {
                found = count_of("/sys/fs/cgroup/memory", text.substr(memory + 8), "memory.oom_control");
                if (found) return found;
            }
        }
        return found;
    } catch (const std::exception&) {
        return std::nullopt;
    }
}

}  // namespace tercet::multiprocessing
