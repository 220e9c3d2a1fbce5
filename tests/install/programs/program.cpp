// A pool in a program that is linked in one of many ways. Says "ok" when all that it can call has been called.
//   program [PLUGIN]   PLUGIN: a library to load once the pools have started

#include <tercet/multiprocessing.hpp>

#include <dlfcn.h>

#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "functions.hpp"

using namespace tercet::multiprocessing;

namespace {

int twice(int n) { return 2 * n; }
struct add {
    int by;
    std::string unit;
    std::string operator()(int n) const { return std::to_string(n + by) + unit; }
};

void require(bool holds, const char* what) {
    if (holds) return;
    std::printf("wrong: %s\n", what);
    std::exit(1);
}

const struct counted {
    counted() { ++count; }
    static inline int count = 0;
} once;
bool main_was_entered = false;

[[gnu::noinline]] void write_there(std::uintptr_t where) {
    // NOLINTNEXTLINE(performance-no-int-to-ptr): to crash
    *reinterpret_cast<volatile int*>(where) = 1;
}

/// Whether the program knows the names of its functions.
bool has_names(std::string_view program) { return !program.ends_with("stripped"); }

void crash(process_pool_executor& pool, bool is_named) {
    try {
        pool.submit(write_there, std::uintptr_t{16}).result();
        require(false, "a crash");
    } catch (const worker_died& death) {
        require(death.signal() == SIGSEGV && death.crash() != nullptr, "the report of a crash");
        require(death.crash()->address == 16, "the address of a crash");
        const auto& frames = death.crash()->frames;
        require(!frames.empty() && !frames[0].module.empty() && frames[0].offset != 0, "the place of a crash");
        require(!is_named || frames[0].function.find("write_there") != std::string::npos, "the function of a crash");
    }
}

void use(process_pool_executor& pool, bool is_copy) {
    require(pool.submit(twice, 4).result() == 8, "a function");
    require(pool.submit([](int n) { return n + 1; }, 4).result() == 5, "a lambda");
    require(pool.submit(capture([](int by, int n) { return n * by; }, 3), 4).result() == 12, "a capture");
    require(pool.submit(add{2, "m"}, 4).result() == "6m", "a functor");
    require(pool.submit([] { return counted::count; }).result() == 1, "static objects");
    require(pool.submit([] { return main_was_entered; }).result() == is_copy, "main");
    auto fails = pool.submit([] { throw std::out_of_range("far"); });
    require(fails.exception() != nullptr, "an exception");
    if (in_library) require(pool.submit(in_library, 4).result() == 104, "a function of a library");
}

}  // namespace

int main(int argc, char** argv) {
    guard(argc, argv);
    main_was_entered = true;
    std::vector<std::unique_ptr<process_pool_executor>> pools;
    for (const auto method : get_all_start_methods()) {
        pools.push_back(
            std::make_unique<process_pool_executor>(process_pool_options{.max_workers = 1, .start_method = method}));
        use(*pools.back(), method == start_method::fork);
        crash(*pools.back(), has_names(argv[0]));
    }
    if (argc > 1) {
        void* const plugin = ::dlopen(argv[1], RTLD_NOW);
        if (!plugin) std::printf("%s\n", ::dlerror());
        require(plugin != nullptr, "dlopen");
        const auto function = reinterpret_cast<int (*)(int)>(::dlsym(plugin, "in_plugin"));
        const auto calls = reinterpret_cast<int (*)(process_pool_executor&)>(::dlsym(plugin, "call_of_plugin"));
        require(function != nullptr && calls != nullptr, "dlsym");
        for (const auto& pool : pools) {
            require(pool->submit(function, 4).result() == 1004, "a function of a library that was loaded later");
            require(calls(*pool) == 2004, "a lambda of a library that was loaded later");
        }
        process child(function, 4);
        child.start();
        child.join();
        require(child.exitcode() == 0, "the same in a process");
    }
    std::printf("ok\n");
}
