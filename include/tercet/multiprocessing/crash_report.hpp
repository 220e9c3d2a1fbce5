#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace tercet::multiprocessing {

/// Where and of what a worker crashed, as far as it could still tell.
struct crash_report {
    /// A call on the stack of the thread that crashed.
    struct frame {
        std::string module;        ///< the file of the program or the shared library
        std::uint64_t offset = 0;  ///< of the instruction, for `addr2line -e module offset`
        std::string function;      ///< demangled; empty when the file does not name it (it was stripped)
    };

    int signal = 0;
    int code = 0;               ///< why the signal came, `si_code` of sigaction(2)
    std::uint64_t address = 0;  ///< of SIGSEGV, SIGBUS, SIGFPE and SIGILL: what the instruction was about
    std::vector<frame> frames;  ///< the crash itself first; the last one may be missing where a stack is deep

    /// "address 0x10 is not mapped", or nothing when the signal says it all.
    std::string reason() const;
    /// The function that crashed: the first on the stack that is not in the C library. Empty when none has a name.
    std::string function() const;
    /// A line for each frame.
    std::string backtrace() const;
};

}  // namespace tercet::multiprocessing
