#include "terminal.hpp"

#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

namespace tercet::tools {

namespace {

std::string colored(std::string_view text, const char* code, bool color) {
    if (!color) return std::string(text);
    return std::string("\x1b[") + code + "m" + std::string(text) + "\x1b[0m";
}

}  // namespace

bool is_terminal(int fd) {
    const char* const kind = std::getenv("TERM");
    return ::isatty(fd) == 1 && !(kind && std::string_view(kind) == "dumb");
}

bool wants_color(int fd) {
    const char* const refusal = std::getenv("NO_COLOR");
    return is_terminal(fd) && !(refusal && *refusal);
}

std::string bold(std::string_view text, bool color) { return colored(text, "1", color); }

std::string red(std::string_view text, bool color) { return colored(text, "31", color); }

bool write_all(int fd, std::string_view text) {
    while (!text.empty()) {
        const ssize_t written = ::write(fd, text.data(), text.size());
        if (written >= 0) {
            text.remove_prefix(static_cast<std::size_t>(written));
        } else if (errno == EAGAIN) {  // whoever shares the descriptor has made it non-blocking
            pollfd waited{.fd = fd, .events = POLLOUT, .revents = 0};
            ::poll(&waited, 1, -1);
        } else if (errno != EINTR) {
            return false;
        }
    }
    return true;
}

}  // namespace tercet::tools
