// A place is in the line until it is taken from it or leaves; both happen under the lock of the line, so exactly one of
// them happens. A place that was taken is a place that will be woken: its thread must not go before that, so one whose
// deadline passes meanwhile finds itself no longer in the line, and waits for the wake-up, which is on its way. A
// thread that was woken needs no look at the line, and no lock: whoever took it has finished with everything but the
// parker, which permits to be destroyed then.

#include <tercet/threading/waiting_line.hpp>

#include <algorithm>

namespace tercet::threading {

bool waiting_line::wait(guard_type& guard, deadline_type deadline) noexcept {
    place mine;
    enter(mine);
    if (!sleep(mine, guard, deadline)) return false;
    guard.lock();
    return true;
}

void waiting_line::enter(place& mine) noexcept {
    mine.previous_ = last_;
    mine.next_ = nullptr;
    mine.is_in_line_ = true;
    (last_ ? last_->next_ : first_) = &mine;
    last_ = &mine;
    ++size_;
}

bool waiting_line::sleep(place& mine, guard_type& guard, deadline_type deadline) noexcept {
    guard.unlock();
    if (mine.parker_.park(deadline)) return true;
    guard.lock();
    if (mine.is_in_line_) {
        remove(mine);
        return false;
    }
    guard.unlock();
    mine.parker_.park(deadline_type::max());
    return true;
}

void waiting_line::remove(place& mine) noexcept {
    (mine.previous_ ? mine.previous_->next_ : first_) = mine.next_;
    (mine.next_ ? mine.next_->previous_ : last_) = mine.previous_;
    mine.is_in_line_ = false;
    --size_;
}

waiting_line::awakened waiting_line::take(std::size_t count) noexcept {
    place* const first = first_;
    place* last = nullptr;
    for (count = std::min(count, size_); count > 0; --count) {
        last = first_;
        remove(*last);  // leaves next_ as it is: the chain
    }
    if (!last) return {};
    last->next_ = nullptr;
    return awakened(first);
}

void waiting_line::awakened::wake() noexcept {
    while (first_) std::exchange(first_, first_->next_)->parker_.unpark();
}

}  // namespace tercet::threading
