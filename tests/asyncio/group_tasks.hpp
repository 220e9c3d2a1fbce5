#pragma once

#include <tercet/asyncio.hpp>

#include <stdexcept>
#include <string>
#include <vector>

// What the tests of task groups let their children do, and how they look at what a group throws.

namespace group_tasks {

using namespace std::chrono_literals;
using namespace tercet::asyncio;
using tercet::cancelled_error;
using tercet::exception_group;

inline coro<> turns(int count) {
    for (int i = 0; i < count; ++i) co_await sleep(0s);
}

inline coro<int> value_after(int count, int value) {
    co_await turns(count);
    co_return value;
}

inline coro<> fail_after(int count, std::string text) {
    co_await turns(count);
    throw std::runtime_error(text);
}

/// Sleeps until it is cancelled, notes the message, and takes a few turns to clean up.
inline coro<> sleep_for_ever(std::vector<std::string>& log) {
    try {
        co_await sleep(1h);
    } catch (const cancelled_error& error) {
        log.emplace_back(error.what());
        throw;
    }
}

inline std::vector<std::string> texts_of(const exception_group& group) {
    std::vector<std::string> texts;
    for (const std::exception_ptr& each : group.errors()) texts.push_back(tercet::describe(each));
    return texts;
}

/// The errors of the group that `work` throws; of anything else its description, "" for nothing.
inline coro<std::vector<std::string>> errors_of(coro<> work) {
    try {
        co_await std::move(work);
    } catch (const exception_group& group) {
        co_return texts_of(group);
    } catch (...) {
        co_return std::vector<std::string>{tercet::describe(std::current_exception())};
    }
    co_return std::vector<std::string>{};
}

}  // namespace group_tasks
