#include <tercet/multiprocessing/managed_queue.hpp>

#include <deque>
#include <utility>

#include "served_wait.hpp"

namespace tercet::multiprocessing::served {

namespace {

constexpr const char* name = "queue_proxy";

}  // namespace

struct queue::state : monitor {
    std::size_t maxsize = unbounded;
    std::size_t unfinished = 0;
    std::deque<encoded_value> items;
};

queue::queue(std::size_t maxsize) : state_(std::make_unique<state>()) {
    state_->maxsize = queue_errors::checked_maxsize(name, maxsize);
}

queue::~queue() = default;

void queue::put(encoded_value item, wait_time limit) {
    const auto deadline = deadline_of(limit);
    visit here(*state_);
    if (!here.wait_until(deadline, [this] { return state_->items.size() < state_->maxsize; }))
        queue_errors::throw_full(name, state_->maxsize);
    state_->items.push_back(std::move(item));
    ++state_->unfinished;
    here.notify_all();
}

encoded_value queue::get(wait_time limit) {
    const auto deadline = deadline_of(limit);
    visit here(*state_);
    if (!here.wait_until(deadline, [this] { return !state_->items.empty(); })) queue_errors::throw_empty(name);
    encoded_value item = std::move(state_->items.front());
    state_->items.pop_front();
    here.notify_all();
    return item;
}

std::size_t queue::qsize() const {
    visit here(*state_);
    return state_->items.size();
}

std::size_t queue::maxsize() const { return state_->maxsize; }

void queue::task_done() {
    visit here(*state_);
    if (state_->unfinished == 0) queue_errors::throw_too_many_done(name);
    if (--state_->unfinished == 0) here.notify_all();
}

bool queue::join(wait_time limit) const {
    const auto deadline = deadline_of(limit);
    visit here(*state_);
    return here.wait_until(deadline, [this] { return state_->unfinished == 0; });
}

}  // namespace tercet::multiprocessing::served
