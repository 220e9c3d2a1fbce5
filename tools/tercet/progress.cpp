#include "progress.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>

#include "terminal.hpp"

namespace tercet::tools {

namespace {

constexpr std::size_t bar_width = 30;
constexpr const char* erase_line = "\r\x1b[K";

}  // namespace

progress::progress(std::size_t total) : total_(std::max<std::size_t>(1, total)), is_bar_(is_terminal(STDERR_FILENO)) {}

progress::~progress() { end(); }

void progress::begin(const std::string& label) {
    const std::lock_guard lock(mutex_);
    if (has_ended_) return;
    label_ = label;
    if (is_bar_)
        draw();
    else
        write_all(STDERR_FILENO, label_ + "\n");
}

void progress::tick() {
    const std::lock_guard lock(mutex_);
    ++done_;
    if (is_bar_ && !has_ended_) draw();
}

void progress::end() {
    const std::lock_guard lock(mutex_);
    if (is_bar_ && !has_ended_) write_all(STDERR_FILENO, erase_line);
    has_ended_ = true;
}

void progress::draw() const {
    const std::size_t filled = std::min(bar_width, done_ * bar_width / total_);
    write_all(STDERR_FILENO, fmt::format("{}[{:#<{}}{:.<{}}] {:3}%  {}", erase_line, "", filled, "", bar_width - filled,
                                         std::min<std::size_t>(100, done_ * 100 / total_), label_));
}

}  // namespace tercet::tools
