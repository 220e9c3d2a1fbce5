// A call gets a stop source when it asks for its token, so that all others cost nothing. The mark may come before that,
// or after: who makes the source looks at the mark, and who is told of the mark looks for a source.

#include "stoppable_call.hpp"

#include <tercet/multiprocessing/remote_call.hpp>

#include <atomic>
#include <mutex>
#include <optional>
#include <stop_token>

namespace tercet::multiprocessing {

namespace {

constinit const ring_record* current = nullptr;  // the calling thread's own
constinit std::mutex mutex;                      // guards what follows
constinit std::optional<std::stop_source> source;
constinit const ring_record* source_is_of = nullptr;

bool is_marked(const ring_record& record) noexcept {
    return std::atomic_ref(const_cast<ring_record&>(record).detail).load(std::memory_order_acquire) != 0;
}

}  // namespace

void set_current_call(const ring_record* record) noexcept {
    if (current && source_is_of) {
        const std::lock_guard lock(mutex);
        source.reset();
        source_is_of = nullptr;
    }
    current = record;
}

void look_whether_to_stop() noexcept {
    std::optional<std::stop_source> asked;
    {
        const std::lock_guard lock(mutex);
        if (source_is_of && is_marked(*source_is_of)) asked = source;
    }
    if (asked) asked->request_stop();
}

std::stop_token detail::current_stop_token() {
    if (!current) return {};
    std::stop_source fresh;
    {
        const std::lock_guard lock(mutex);
        source = fresh;
        source_is_of = current;
    }
    if (is_marked(*current)) fresh.request_stop();
    return fresh.get_token();
}

}  // namespace tercet::multiprocessing
