#include <tercet/futures/errors.hpp>
#include <tercet/futures/queue_errors.hpp>
#include <tercet/multiprocessing/message_queue.hpp>

#include <fmt/format.h>

#include <stdexcept>
#include <utility>

#include "message_log.hpp"

namespace tercet::multiprocessing {

message_queue::message_queue(const char* name, std::size_t maxsize, std::uint64_t type)
    : name_(name), log_(std::make_shared<message_log>(maxsize, type)) {}

message_queue::message_queue(message_queue&& other) noexcept
    : name_(other.name_), is_closed_(other.is_closed()), log_(std::move(other.log_)) {}

message_queue& message_queue::operator=(message_queue&& other) noexcept {
    name_ = other.name_;
    is_closed_.store(other.is_closed(), std::memory_order_release);
    log_ = std::move(other.log_);
    return *this;
}

message_queue::~message_queue() = default;

message_log& message_queue::log(const char* method) const {
    if (is_closed()) throw invalid_state_error(fmt::format("{}: {}: it is closed", name_, method));
    if (!log_) throw invalid_state_error(fmt::format("{}: {}: it was made empty, to be filled in", name_, method));
    return *log_;
}

void message_queue::put(encoder& item, time_limit limit) {
    message_log& messages = log("put");
    if (!item.take_descriptors().empty())
        throw std::invalid_argument(
            fmt::format("{}: put: file descriptors cannot lie in a queue: send them over a connection", name_));
    switch (messages.put(item.buffer().bytes(), limit.deadline(), is_closed_)) {
        case message_log::outcome::done:
            return;
        case message_log::outcome::timed_out:
            throw queue_full(
                fmt::format("{}: put: no room among {} items in the time that was given", name_, messages.maxsize()));
        case message_log::outcome::closed:
            log("put");
    }
}

byte_buffer message_queue::get(time_limit limit) {
    byte_buffer message;
    switch (log("get").get(message, limit.deadline(), is_closed_)) {
        case message_log::outcome::done:
            break;
        case message_log::outcome::timed_out:
            queue_errors::throw_empty(name_);
        case message_log::outcome::closed:
            log("get");
    }
    return message;
}

std::size_t message_queue::size() const { return log("qsize").size(); }
std::size_t message_queue::maxsize() const { return log("maxsize").maxsize(); }

void message_queue::task_done() {
    if (!log("task_done").done_with_one()) queue_errors::throw_too_many_done(name_);
}

bool message_queue::join(time_limit limit) {
    const auto outcome = log("join").join(limit.deadline(), is_closed_);
    if (outcome == message_log::outcome::closed) log("join");
    return outcome == message_log::outcome::done;
}

void message_queue::close() noexcept {
    if (is_closed_.exchange(true, std::memory_order_acq_rel) || !log_) return;
    log_->wake_all();
}

int message_queue::descriptor() const { return log("send").descriptor(); }

void message_queue::load(unique_fd memory, std::uint64_t type) {
    log_ = std::make_shared<message_log>(std::move(memory), type);
    is_closed_.store(false, std::memory_order_release);
}

}  // namespace tercet::multiprocessing
