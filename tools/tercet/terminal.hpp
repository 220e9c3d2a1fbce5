#pragma once

#include <string>
#include <string_view>

namespace tercet::tools {

/// Whether `fd` is a terminal that a person looks at.
bool is_terminal(int fd);

/// Whether output to `fd` may be coloured: a terminal, and NO_COLOR is not set (no-color.org).
bool wants_color(int fd);

/// `text`, emphasised if `color`.
std::string bold(std::string_view text, bool color);
/// `text`, marked as an error if `color`.
std::string red(std::string_view text, bool color);

/// Writes all of `text` in as few system calls as it takes, so that threads do not mix their lines. False: `errno` says
/// why not.
bool write_all(int fd, std::string_view text);

}  // namespace tercet::tools
