#pragma once

#include <tercet/threading/thread_ident.hpp>

#include <fstream>
#include <latch>
#include <string>
#include <thread>

namespace tercet::threading {

/// A door that jobs wait behind until the test opens it.
class gate {
public:
    void open() { opened_.count_down(); }
    void pass() const { opened_.wait(); }

private:
    std::latch opened_{1};
};

/// Returns when the thread with that `get_native_id` sleeps in the kernel.
inline void await_sleep_of(int thread) {
    for (;;) {
        std::ifstream file("/proc/self/task/" + std::to_string(thread) + "/stat");
        std::string text;
        std::getline(file, text);
        const std::size_t name_ends = text.rfind(')');
        if (name_ends != std::string::npos && text.substr(name_ends + 2, 1) == "S") return;
        std::this_thread::yield();
    }
}

}  // namespace tercet::threading
