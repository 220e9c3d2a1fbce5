// The handler runs where anything may be broken: it asks for no memory and takes no lock. The signal and its address
// are written first, and then one frame of the stack after the other, so that whatever came before a second crash is
// there. The second one, and the first when the handler returns, meet the default action: the wait status and the core
// dump are those of the crash itself.

#include "crash_handler.hpp"

#include <dlfcn.h>
#include <link.h>
#include <ucontext.h>
#include <unistd.h>
#include <unwind.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <cstring>

namespace tercet::multiprocessing {

namespace {

constexpr int fatal_signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGSYS, SIGTRAP};
constexpr std::size_t stack_size = std::size_t{64} << 10U;

crash_record* record = nullptr;
pid_t owner = 0;  // of the record; a copy of this process that crashes has none

std::uintptr_t program_counter(const void* context) noexcept {
    const auto& machine = static_cast<const ucontext_t*>(context)->uc_mcontext;
#if defined(__x86_64__)
    return static_cast<std::uintptr_t>(machine.gregs[REG_RIP]);
#elif defined(__aarch64__)
    return machine.pc;
#else
    static_cast<void>(machine);
    return 0;
#endif
}

std::uint32_t module_named(const char* name) noexcept {
    const std::uint32_t count = record->module_count.load(std::memory_order_relaxed);
    for (std::uint32_t i = 0; i < count; ++i)
        if (std::strncmp(record->modules[i].data(), name, crash_record::longest_name - 1) == 0) return i;
    if (count == crash_record::most_modules) return count;
    auto& place = record->modules[count];
    std::strncpy(place.data(), name, place.size() - 1);  // the last byte is 0
    record->module_count.store(count + 1, std::memory_order_release);
    return count;
}

void note_frame(std::uintptr_t address) noexcept {
    const std::uint32_t count = record->frame_count.load(std::memory_order_relaxed);
    if (count == crash_record::most_frames) return;
    auto& frame = record->frames[count];
    dl_find_object found{};  // safe in a handler, unlike dladdr
    if (::_dl_find_object(reinterpret_cast<void*>(address), &found) == 0) {
        frame = {address - found.dlfo_link_map->l_addr, module_named(found.dlfo_link_map->l_name)};
    } else {
        frame = {address, crash_record::most_modules};
    }
    record->frame_count.store(count + 1, std::memory_order_release);
}

struct walk {
    std::uintptr_t crashed_at;
    bool has_begun;
};

_Unwind_Reason_Code step(_Unwind_Context* context, void* argument) {
    auto& state = *static_cast<walk*>(argument);
    int is_before_instruction = 0;
    const std::uintptr_t address = ::_Unwind_GetIPInfo(context, &is_before_instruction);
    if (address == 0) return _URC_END_OF_STACK;
    state.has_begun = state.has_begun || address == state.crashed_at;  // what comes before is this handler
    // A return address may be that of the next function: the call is before it.
    if (state.has_begun) note_frame(is_before_instruction != 0 ? address : address - 1);
    return record->frame_count.load(std::memory_order_relaxed) == crash_record::most_frames ? _URC_END_OF_STACK
                                                                                            : _URC_NO_REASON;
}

void on_crash(int signal, siginfo_t* info, void* context) {
    // Of threads that crash together the first writes.
    static std::atomic_flag is_taken;
    if (::getpid() == owner && !is_taken.test_and_set()) {
        record->signal = signal;
        record->code = info->si_code;
        record->address = reinterpret_cast<std::uintptr_t>(info->si_addr);
        record->is_written.store(1, std::memory_order_release);
        walk state{program_counter(context), false};
        ::_Unwind_Backtrace(&step, &state);
        if (!state.has_begun) note_frame(state.crashed_at);  // no way up from there: a call of nothing
    }
    // Where the instruction is not going to fail again, the signal would not come again by itself.
    const bool comes_again = info->si_code > 0 && signal != SIGTRAP && signal != SIGSYS && signal != SIGBUS;
    if (!comes_again) ::raise(signal);
}

_Unwind_Reason_Code stop(_Unwind_Context*, void*) { return _URC_END_OF_STACK; }

}  // namespace

void install_crash_handler(crash_record& where) noexcept {
    record = &where;
    owner = ::getpid();
    ::_Unwind_Backtrace(&stop, nullptr);  // what it loads and initialises, it does now
    stack_t stack{};
    stack.ss_sp = std::malloc(stack_size);  // for the life of the process
    stack.ss_size = stack_size;
    stack_t before{};
    const bool has_one = ::sigaltstack(nullptr, &before) == 0 && (before.ss_flags & SS_DISABLE) == 0;
    if (!has_one && stack.ss_sp) ::sigaltstack(&stack, nullptr);
    for (const int signal : fatal_signals) {
        struct sigaction now {};
        if (::sigaction(signal, nullptr, &now) != 0 || now.sa_handler != SIG_DFL) continue;
        struct sigaction ours {};
        ours.sa_sigaction = &on_crash;
        ours.sa_flags = SA_SIGINFO | SA_ONSTACK | static_cast<int>(SA_RESETHAND);
        ::sigemptyset(&ours.sa_mask);
        ::sigaction(signal, &ours, nullptr);
    }
}

}  // namespace tercet::multiprocessing
