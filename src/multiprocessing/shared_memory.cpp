#include <tercet/multiprocessing/shared_memory.hpp>

#include <fmt/format.h>
#include <sys/random.h>

#include <cerrno>
#include <stdexcept>
#include <system_error>

#include "name_server.hpp"

namespace tercet::multiprocessing {

namespace {

void check_name(const std::string& name) {
    if (name.empty() || name.size() > shared_memory::longest_name || name.find('\0') != std::string::npos)
        throw std::invalid_argument(
            fmt::format("shared_memory: '{}' is no name; give 1 to {} characters without a zero", name,
                        shared_memory::longest_name));
}

}  // namespace

shared_memory shared_memory::create(const std::string& name, std::size_t size) {
    check_name(name);
    auto segment = shared_segment::create("tercet-memory", size);
    const std::uint64_t number = name_server::instance().add(name, segment);
    return {name, std::move(segment), number};
}

shared_memory shared_memory::create(std::size_t size) {
    std::uint64_t number = 0;
    while (::getrandom(&number, sizeof number, 0) != sizeof number) {
    }
    return create(fmt::format("psm_{:016x}", number), size);
}

shared_memory shared_memory::attach(const std::string& name) {
    check_name(name);
    return {name, open(name_server::find(name)), 0};
}

shared_memory::shared_memory(shared_memory&& other) noexcept
    : name_(std::move(other.name_)), segment_(std::move(other.segment_)), number_(std::exchange(other.number_, 0)) {}

shared_memory& shared_memory::operator=(shared_memory&& other) noexcept {
    shared_memory gone(std::move(*this));
    name_ = std::move(other.name_);
    segment_ = std::move(other.segment_);
    number_ = std::exchange(other.number_, 0);
    return *this;
}

shared_memory::~shared_memory() {
    if (number_ != 0) name_server::instance().remove(number_);
}

std::span<std::byte> shared_memory::buf() const noexcept {
    if (!segment_) return {};
    return {segment_->data(), segment_->size()};
}

void shared_memory::unlink() {
    if (const auto number = std::exchange(number_, 0); number != 0) {
        if (!name_server::instance().remove(number))
            throw std::system_error(ENOENT, std::system_category(), fmt::format("shared_memory '{}'", name_));
    } else {
        name_server::unlink(name_);
    }
}

}  // namespace tercet::multiprocessing
