// The record was written by a worker in its last moments: its counts are bounded here, and its names end where their
// room ends.

#include <tercet/multiprocessing/crash_report.hpp>

#include <fmt/format.h>
#include <link.h>
#include <string.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdlib>

#include "read_crash_record.hpp"
#include "symbol_table.hpp"

namespace tercet::multiprocessing {

namespace {

std::string file_name(const std::string& path) { return path.substr(path.rfind('/') + 1); }

bool is_of_c_library(const crash_report::frame& frame) {
    const std::string name = file_name(frame.module);
    return name.starts_with("libc.so") || name.starts_with("libc-") || name.starts_with("libstdc++.so");
}

std::string place_of(const crash_report::frame& frame) {
    return frame.module.empty() ? fmt::format("{:#x}", frame.offset)
                                : fmt::format("{}+{:#x}", frame.module, frame.offset);
}

bool is_loaded(const std::string& file) {
    const auto is_it = [](dl_phdr_info* module, std::size_t, void* wanted) {
        return static_cast<int>(*static_cast<const std::string*>(wanted) == module->dlpi_name);
    };
    return ::dl_iterate_phdr(is_it, const_cast<std::string*>(&file)) != 0;
}

}  // namespace

std::string crash_report::reason() const {
    if (code <= 0) return "sent by a process";
    const auto about = [this](const char* what) { return fmt::format("address {:#x} {}", address, what); };
    switch (signal) {
        case SIGSEGV:
            if (code == SEGV_MAPERR) return about("is not mapped");
            if (code == SEGV_ACCERR) return about("may not be used like that");
            return about("cannot be used");  // one that no process can have: the kernel does not say which
        case SIGBUS:
            return about(code == BUS_ADRERR ? "is behind the end of a file" : "is not aligned");
        case SIGFPE:
            return code == FPE_INTDIV ? "division by zero" : code == FPE_INTOVF ? "integer overflow" : "";
        case SIGILL:
            return about("holds no instruction that this CPU knows");
        default:
            return {};
    }
}

std::string crash_report::function() const {
    for (const auto& each : frames)
        if (!is_of_c_library(each)) return each.function;
    return {};
}

std::string crash_report::backtrace() const {
    std::string text;
    for (std::size_t i = 0; i < frames.size(); ++i)
        text += fmt::format("#{:<2} {} ({})\n", i, frames[i].function.empty() ? "?" : frames[i].function,
                            place_of(frames[i]));
    return text;
}

std::optional<crash_report> read_crash_record(const crash_record& record) {
    if (record.is_written.load(std::memory_order_acquire) == 0) return std::nullopt;
    crash_report report{.signal = record.signal, .code = record.code, .address = record.address, .frames = {}};
    const auto modules =
        std::min<std::size_t>(record.module_count.load(std::memory_order_acquire), record.modules.size());
    const auto frames = std::min<std::size_t>(record.frame_count.load(std::memory_order_acquire), record.frames.size());
    // The names are the worker's: only files that this process has loaded, too, are opened.
    std::array<std::optional<symbol_table>, crash_record::most_modules> tables;
    for (std::size_t i = 0; i < frames; ++i) {
        const auto& from = record.frames[i];
        crash_report::frame frame{.module = {}, .offset = from.offset, .function = {}};
        const std::size_t module = from.module;
        if (module < modules) {
            const auto& name = record.modules[module];
            frame.module.assign(name.data(), ::strnlen(name.data(), name.size()));
            const bool is_program = frame.module.empty();
            if (!tables[module] && (is_program || is_loaded(frame.module)))
                tables[module].emplace(is_program ? "/proc/self/exe" : frame.module);
            if (tables[module]) frame.function = tables[module]->function_at(frame.offset);
            if (is_program) frame.module = ::program_invocation_name;
        }
        report.frames.push_back(std::move(frame));
    }
    return report;
}

}  // namespace tercet::multiprocessing
