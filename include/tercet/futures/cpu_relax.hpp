#pragma once

namespace tercet {

/// Tells the CPU that this thread only looks whether a word has changed. One of the two files with assembly.
inline void cpu_relax() noexcept {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ __volatile__("yield");
#endif
}

}  // namespace tercet
