// The program's entry calls __libc_start_main(main, ...), which constructs static objects and calls main. Ours takes
// the place of glibc's and passes on another main, which serves if this process was started for that. So static objects
// are complete, and the program's own code has not run.
//
// The definition is weak: with -static, where glibc's own is linked in beside it, the strong one wins and guard() is
// needed. Otherwise ours is found first, because the program comes before the shared libc. This file must not use
// anything that a sanitizer instruments, since it runs before their start in some configurations.

#include <dlfcn.h>
#include <unistd.h>

#include <cstdlib>

#include "bootstrap.hpp"

#define TERCET_NOT_INSTRUMENTED __attribute__((no_sanitize("address", "undefined", "thread")))

namespace {

using main_function = int(int, char**, char**);
using start_function = int(main_function*, int, char**, void (*)(), void (*)(), void (*)(), void*);

main_function* program_main = nullptr;

TERCET_NOT_INSTRUMENTED int serve_or_run(int argc, char** argv, char** envp) {
    tercet::multiprocessing::serve_if_asked();
    return program_main(argc, argv, envp);
}

}  // namespace

extern "C" {

// NOLINTNEXTLINE(bugprone-reserved-identifier): the name is glibc's
TERCET_NOT_INSTRUMENTED __attribute__((weak, visibility("default"))) int __libc_start_main(
    main_function* program, int argc, char** argv, void (*init)(), void (*fini)(), void (*rtld_fini)(),
    void* stack_end) {
    auto* const start = reinterpret_cast<start_function*>(::dlsym(RTLD_NEXT, "__libc_start_main"));
    if (!start) ::_exit(127);
    program_main = program;
    tercet::multiprocessing::note_start_hook();
    return start(&serve_or_run, argc, argv, init, fini, rtld_fini, stack_end);
}

}  // extern "C"

namespace tercet::multiprocessing {

void link_start_hook() noexcept {}

}  // namespace tercet::multiprocessing
