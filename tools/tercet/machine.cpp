#include "machine.hpp"

#include <tercet/futures/usable_cpus.hpp>

#include <sys/utsname.h>
#include <unistd.h>

#include <fstream>

namespace tercet::tools {

namespace {

std::string cpu_name() {
    std::ifstream info("/proc/cpuinfo");
    for (std::string line; std::getline(info, line);)
        if (line.starts_with("model name")) {
            const auto colon = line.find(": ");
            if (colon != std::string::npos) return line.substr(colon + 2);
        }
    return "unknown";
}

}  // namespace

machine_description describe_machine() {
    utsname system{};
    ::uname(&system);
    return {
        .usable_cpus = usable_cpus(), .cpu = cpu_name(),
        .memory_bytes =
            static_cast<std::uint64_t>(::sysconf(_SC_PHYS_PAGES)) * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE)),
        .kernel = std::string(system.sysname) + " " + system.release + " " + system.machine,
#if defined(__clang__)
        .compiler = "clang " __clang_version__
#else
        .compiler = "g++ " __VERSION__
#endif
    };
}

}  // namespace tercet::tools
