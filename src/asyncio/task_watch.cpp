// Each task has a listener that puts it into the list of those that are done; the listeners of tasks that are not done
// leave them when the watch goes. Whoever waits is woken when the condition of the watch holds, and takes nothing by
// being woken, so a cancelled wait loses nothing.

#include <tercet/asyncio/task_watch.hpp>
#include <tercet/futures/errors.hpp>

namespace tercet::asyncio {

task_watch::task_watch(std::size_t count, return_when wake) : wake_(wake) {
    listeners_.reserve(count);
    known_.reserve(count);
}

task_watch::~task_watch() {
    for (listener& each : listeners_)
        if (!each.has_ended) each.task.stop_listening(each);
}

bool task_watch::add(task_base& task) {
    const bool is_done = task.is_done();
    if (!is_done && &task.loop() != &get_running_loop())
        throw invalid_state_error("wait: a task belongs to another event loop");
    if (!known_.insert(&task).second) return false;
    listener& added = listeners_.emplace_back(*this, task);
    ++pending_;
    ++unpopped_;
    if (is_done)
        note(added);
    else
        task.listen(added);
    return true;
}

void task_watch::listener::ended(done_listener& self) noexcept {
    auto& here = static_cast<listener&>(self);
    task_watch& watch = here.owner;
    watch.note(here);
    if (!watch.waiter_ || !watch.is_over()) return;
    wait& woken = *watch.waiter_;
    woken.stop();
    woken.complete();
}

void task_watch::note(listener& ended) noexcept {
    ended.has_ended = true;
    (last_done_ ? last_done_->next_done : first_done_) = &ended;
    last_done_ = &ended;
    --pending_;
    if (ended.task.error()) has_failure_ = true;
}

bool task_watch::is_over() const noexcept {
    if (unpopped_ == 0 || pending_ == 0) return true;
    if (wake_ == return_when::first_completed) return first_done_ != nullptr;
    return wake_ == return_when::first_exception && has_failure_;
}

std::optional<std::size_t> task_watch::pop() noexcept {
    if (!first_done_) return std::nullopt;
    const listener& popped = *first_done_;
    first_done_ = popped.next_done;
    if (!first_done_) last_done_ = nullptr;
    --unpopped_;
    return static_cast<std::size_t>(&popped - listeners_.data());
}

bool task_watch::wait::begin() noexcept {
    is_refused_ = watch_.waiter_ != nullptr;
    if (is_refused_ || watch_.is_over()) return true;
    const bool has_deadline = deadline_ != event_loop::time_point::max();
    if (has_deadline && deadline_ <= loop().time()) return true;
    if (has_deadline) loop().timers().add(*this, deadline_);
    watch_.waiter_ = this;
    return false;
}

void task_watch::wait::stop() noexcept {
    loop().timers().cancel(*this);
    watch_.waiter_ = nullptr;
}

bool task_watch::wait::abandon() noexcept {
    stop();
    return true;
}

void task_watch::wait::name_awaited(task_search& search) const noexcept {
    if (!search.includes_watched()) return;
    for (const listener& each : watch_.listeners_)
        if (!each.has_ended) search.add(each.task);
}

void task_watch::wait::expire(timer_node& self) noexcept {
    auto& here = static_cast<wait&>(self);
    here.watch_.waiter_ = nullptr;
    here.complete();
}

void task_watch::wait::check() const {
    throw_if_cancelled();
    if (is_refused_) throw invalid_state_error("as_completed: another task waits for the next one");
}

}  // namespace tercet::asyncio
