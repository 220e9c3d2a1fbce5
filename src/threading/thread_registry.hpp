#pragma once

#include <tercet/threading/thread_handle.hpp>

#include <memory>
#include <string>
#include <vector>

namespace tercet::threading::thread_registry {

/// The threads that are alive. Any thread.
void add(std::shared_ptr<thread_state> state);
void remove(const thread_state& state) noexcept;
std::vector<std::shared_ptr<thread_state>> all();
/// What `current_thread` gives from now on to the calling thread.
void set_current(std::shared_ptr<thread_state> state) noexcept;
std::string next_name();

}  // namespace tercet::threading::thread_registry
