#include "asyncio/fake_names.hpp"

#include <dlfcn.h>
#include <netdb.h>

#include <condition_variable>
#include <mutex>
#include <string_view>

namespace {

std::mutex mutex;
std::condition_variable changed;
bool is_holding = false;
int waiting_now = 0;
int asked_ever = 0;

void wait_until_let_go() {
    std::unique_lock guard(mutex);
    ++asked_ever;
    ++waiting_now;
    changed.wait(guard, [] { return !is_holding; });
    --waiting_now;
    changed.notify_all();
}

}  // namespace

/// Stands before that of the C library.
extern "C" int getaddrinfo(const char* name, const char* service, const addrinfo* hints, addrinfo** found) {
    static auto* const real = reinterpret_cast<decltype(&getaddrinfo)>(::dlsym(RTLD_NEXT, "getaddrinfo"));
    const std::string_view asked = name ? name : "";
    const bool is_slow = asked.starts_with("slow");
    const bool is_twice = asked == "twice.test";
    if (is_slow) wait_until_let_go();
    if (!is_slow && !is_twice && asked != "both.test") return real(name, service, hints, found);
    const int code = real("127.0.0.1", service, hints, found);
    if (code != 0 || is_slow) return code;
    return real(is_twice ? "127.0.0.1" : "127.0.0.2", service, hints, &(*found)->ai_next);
}

int slow_names::waiting() {
    const std::scoped_lock guard(mutex);
    return waiting_now;
}

int slow_names::asked() {
    const std::scoped_lock guard(mutex);
    return asked_ever;
}

slow_names::slow_names() {
    const std::scoped_lock guard(mutex);
    is_holding = true;
    asked_ever = 0;
}

slow_names::~slow_names() {
    let_go();
    std::unique_lock guard(mutex);
    changed.wait(guard, [] { return waiting_now == 0; });
}

void slow_names::let_go() {
    const std::scoped_lock guard(mutex);
    is_holding = false;
    changed.notify_all();
}
