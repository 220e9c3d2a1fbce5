// The modules of a process are listed once and listed again when the dynamic linker says that it has loaded or unloaded
// something since. A list never changes after it is made; it is replaced under the mutex, and who uses an old one keeps
// it alive.
//
// A reference is input from outside. Nothing is read through it before the module is found by its id, and the place
// lies in a segment of that module, as a whole and aligned; nothing is called before the constant there has shown its
// magic number and the expected signature, and points into an executable segment itself.

#include <tercet/multiprocessing/errors.hpp>
#include <tercet/multiprocessing/function_reference.hpp>

#include <elf.h>
#include <fmt/format.h>
#include <link.h>
#include <pthread.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "module_identity.hpp"

namespace tercet::multiprocessing {

namespace {

struct segment {
    std::uintptr_t begin;
    std::uintptr_t end;
    bool is_executable;
};

struct module {
    module_id id;
    std::uintptr_t base;
    std::string name;
    std::vector<segment> segments;

    const segment* segment_of(std::uintptr_t address, std::size_t size) const noexcept {
        for (const auto& each : segments)
            if (address >= each.begin && address < each.end && size <= each.end - address) return &each;
        return nullptr;
    }
};

struct module_list {
    unsigned long long loads = 0;
    unsigned long long unloads = 0;
    std::vector<module> modules;
};

int add_module(dl_phdr_info* info, std::size_t, void* argument) {
    auto& list = *static_cast<module_list*>(argument);
    list.loads = info->dlpi_adds;
    list.unloads = info->dlpi_subs;
    const bool is_program = info->dlpi_name == nullptr || *info->dlpi_name == '\0';
    const char* const path = is_program ? "/proc/self/exe" : info->dlpi_name;
    module each{{}, info->dlpi_addr, is_program ? "the program" : info->dlpi_name, {}};
    std::optional<module_id> build_id;
    for (const auto& head : std::span(info->dlpi_phdr, info->dlpi_phnum)) {
        const std::uintptr_t begin = info->dlpi_addr + head.p_vaddr;
        if (head.p_type == PT_LOAD && (head.p_flags & PF_R) != 0)
            each.segments.push_back({begin, begin + head.p_memsz, (head.p_flags & PF_X) != 0});
        if (head.p_type == PT_NOTE && !build_id)
            build_id = build_id_in({reinterpret_cast<const std::uint8_t*>(begin), head.p_memsz});
    }
    each.id = build_id ? *build_id : file_id_of(path);
    if (each.id != module_id{}) list.modules.push_back(std::move(each));
    return 0;
}

int read_counters(dl_phdr_info* info, std::size_t, void* argument) {
    auto& list = *static_cast<module_list*>(argument);
    list.loads = info->dlpi_adds;
    list.unloads = info->dlpi_subs;
    return 1;
}

struct current_list {
    std::mutex mutex;
    std::shared_ptr<const module_list> modules = std::make_shared<module_list>();
};

current_list& current() {
    static auto* const list = new current_list;  // never destroyed: pools of static objects may outlive any order
    return *list;
}

// With this mutex the dynamic linker's own is free, too, which is only taken behind it.
[[gnu::constructor(101)]] void prepare_for_forks() {
    ::pthread_atfork([] { current().mutex.lock(); }, [] { current().mutex.unlock(); },
                     [] { current().mutex.unlock(); });
}

std::shared_ptr<const module_list> loaded_modules() {
    auto& list = current();
    module_list now;
    const std::lock_guard lock(list.mutex);
    ::dl_iterate_phdr(&read_counters, &now);
    if (list.modules->loads != now.loads || list.modules->unloads != now.unloads) {
        auto fresh = std::make_shared<module_list>();
        ::dl_iterate_phdr(&add_module, fresh.get());
        list.modules = std::move(fresh);
    }
    return list.modules;
}

/// The address that `reference` names, with `size` bytes of a segment behind it.
std::uintptr_t resolve(const function_reference& reference, std::size_t size, bool is_code) {
    auto list = loaded_modules();
    const auto find = [&] { return std::ranges::find(list->modules, reference.module, &module::id); };
    auto found = find();
    if (found == list->modules.end()) {
        const std::string problem = load_module_of_caller(reference.module);
        list = loaded_modules();
        found = find();
        if (found == list->modules.end())
            throw decode_error(fmt::format("the module with {} is not loaded in this process: {}",
                                           describe(reference.module), problem));
    }
    const std::uintptr_t address = found->base + reference.offset;
    const segment* const place = found->segment_of(address, size);
    if (!place || (is_code && !place->is_executable))
        throw decode_error(fmt::format("offset {:#x} of {} is not {}", reference.offset, found->name,
                                       is_code ? "in an executable segment" : "in the module"));
    return address;
}

/// What lies at `address`, which may be a part of anything: a sanitizer must not complain about the look at it.
__attribute__((no_sanitize("address"))) remote_function look_at(std::uintptr_t address) {
    const auto& place =
        *reinterpret_cast<const volatile remote_function*>(address);  // NOLINT(performance-no-int-to-ptr)
    return {place.magic, place.signature, place.call};
}

bool is_in_code(std::uintptr_t address) {
    const auto list = loaded_modules();
    return std::ranges::any_of(list->modules, [address](const module& each) {
        const segment* const place = each.segment_of(address, 1);
        return place && place->is_executable;
    });
}

}  // namespace

function_reference reference_to(const void* address) {
    const auto list = loaded_modules();
    const auto place = reinterpret_cast<std::uintptr_t>(address);
    for (const auto& each : list->modules)
        if (each.segment_of(place, 1)) return {each.id, place - each.base};
    throw std::invalid_argument(fmt::format("address {} lies in no module that other processes have loaded", address));
}

const function_reference& remembered_reference::look_up(const void* address) {
    auto fresh = std::make_unique<const function_reference>(reference_to(address));
    const function_reference* known = nullptr;
    return known_.compare_exchange_strong(known, fresh.get(), std::memory_order_acq_rel) ? *fresh.release() : *known;
}

const remote_function& resolve_remote_function(const function_reference& reference, std::uint64_t signature) {
    const std::uintptr_t address = resolve(reference, sizeof(remote_function), false);
    if (address % alignof(remote_function) != 0)
        throw decode_error(fmt::format("offset {:#x} is not that of a remote function", reference.offset));
    const remote_function function = look_at(address);
    if (function.magic != remote_function::expected_magic ||
        !is_in_code(reinterpret_cast<std::uintptr_t>(function.call)))
        throw decode_error(fmt::format("offset {:#x} is not that of a remote function", reference.offset));
    if (function.signature != signature)
        throw decode_error(
            fmt::format("the remote function at offset {:#x} has another signature: type hash {:#x}, not "
                        "{:#x}",
                        reference.offset, function.signature, signature));
    return *reinterpret_cast<const remote_function*>(address);  // NOLINT(performance-no-int-to-ptr)
}

void* resolve_code(const function_reference& reference) {
    return reinterpret_cast<void*>(resolve(reference, 1, true));  // NOLINT(performance-no-int-to-ptr)
}

}  // namespace tercet::multiprocessing
