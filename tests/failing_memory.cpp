#include "failing_memory.hpp"

#include <tercet/futures/errors.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <climits>
#include <cstddef>
#include <cstdlib>
#include <filesystem>
#include <iterator>
#include <new>
#include <stdexcept>
#include <system_error>

namespace {

constexpr std::ptrdiff_t most_kept = 16;  // descriptors that pools keep for the next call

std::atomic<long> until_failure{LONG_MAX};
std::atomic<long> failures_left{0};
std::atomic<long> failures{0};
std::atomic<bool> was_reported{false};

bool is_to_fail() noexcept {
    if (failures_left.load(std::memory_order_relaxed) <= 0) return false;
    if (until_failure.fetch_sub(1, std::memory_order_relaxed) > 0) return false;
    if (failures_left.fetch_sub(1, std::memory_order_relaxed) <= 0) return false;
    failures.fetch_add(1, std::memory_order_relaxed);
    return true;
}

void note(const std::exception_ptr& error, std::string_view /*origin*/) noexcept {
    if (failing_memory::is_behind(error)) was_reported.store(true, std::memory_order_relaxed);
}

/// While it lives, reports of unread errors are looked at and not written.
class reports_noted {
public:
    reports_noted() : before_(tercet::set_unread_error_hook(&note)) {}
    reports_noted(const reports_noted&) = delete;
    reports_noted& operator=(const reports_noted&) = delete;
    ~reports_noted() { tercet::set_unread_error_hook(before_); }

private:
    tercet::unread_error_hook before_;
};

std::ptrdiff_t open_descriptors() { return std::distance(std::filesystem::directory_iterator("/proc/self/fd"), {}); }

}  // namespace

// Not inlined: g++ would take malloc and free for a mismatched pair of new and delete.
[[gnu::noinline]] void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
    return is_to_fail() ? nullptr : std::malloc(size);
}
[[gnu::noinline]] void* operator new(std::size_t size) {
    void* const block = operator new(size, std::nothrow);
    if (!block) throw std::bad_alloc();
    return block;
}
[[gnu::noinline]] void operator delete(void* block) noexcept { std::free(block); }
[[gnu::noinline]] void operator delete(void* block, std::size_t) noexcept { std::free(block); }

namespace failing_memory {

void begin(long after, long count) noexcept {
    failures = 0;
    until_failure = after;
    failures_left = count;
}

long end() noexcept {
    failures_left = 0;
    return failures;
}

bool is_behind(const std::exception_ptr& error) noexcept {
    if (!error) return false;
    try {
        std::rethrow_exception(error);
    } catch (const std::bad_alloc&) {
        return true;
    } catch (const std::system_error& e) {
        return e.code() == std::errc::not_enough_memory;
    } catch (const tercet::exception_group& group) {
        for (const std::exception_ptr& each : group.errors())
            if (is_behind(each)) return true;
    } catch (const std::exception& e) {
        const std::string_view text(e.what());
        if (text.find("bad_alloc") != text.npos || text.find("memory") != text.npos) return true;
        const auto* const outer = dynamic_cast<const std::nested_exception*>(&e);
        return outer && is_behind(outer->nested_ptr());
    } catch (...) {
        return false;
    }
    return false;
}

void require(bool holds, const char* what) {
    if (!holds) throw std::logic_error(what);
}

void at_each_allocation(const std::function<void()>& scenario) {
    for (int warm = 0; warm < 2; ++warm) scenario();
    std::ptrdiff_t descriptors = open_descriptors();
    const reports_noted noting;
    for (const long count : {1L, LONG_MAX}) {
        long after = 0;
        for (;; ++after) {
            was_reported = false;
            std::exception_ptr thrown;
            begin(after, count);
            try {
                scenario();
            } catch (...) {
                thrown = std::current_exception();
            }
            if (end() == 0) break;
            const bool is_expected = !thrown || is_behind(thrown) || was_reported;
            EXPECT_TRUE(is_expected) << "after " << after << " allocations: " << tercet::describe(thrown);
            ASSERT_NO_THROW(scenario()) << "after " << after << " allocations";
            if (open_descriptors() <= descriptors) continue;
            for (std::ptrdiff_t again = 0; again <= most_kept; ++again) {  // a leak is one more each time
                begin(after, count);
                try {
                    scenario();
                } catch (...) {  // NOLINT(bugprone-empty-catch): it was looked at above
                }
                end();
                scenario();  // which waits for what the one before has left
            }
            ASSERT_LE(open_descriptors(), descriptors + most_kept) << "after " << after << " allocations";
            descriptors = std::max(descriptors, open_descriptors());
        }
        EXPECT_GT(after, 0) << "nothing was allocated";
    }
}

}  // namespace failing_memory
