#include <tercet/asyncio/event_loop.hpp>
#include <tercet/asyncio/signal_set.hpp>

#include <algorithm>

#include "asyncio/signal_dispatch.hpp"

namespace tercet::asyncio {

class signal_set::subscriptions final : public signal_listener {
public:
    subscriptions(signal_set& owner, std::initializer_list<int> numbers) : owner_(owner) {
        owner.untaken_.reserve(numbers.size());
        relays_.reserve(numbers.size());
        event_loop& loop = get_running_loop();
        try {
            for (auto each = numbers.begin(); each != numbers.end(); ++each)
                if (std::find(numbers.begin(), each, *each) == each)
                    relays_.push_back(subscribe_to_signal(loop, *each, *this));
        } catch (...) {
            end();
            throw;
        }
    }
    subscriptions(const subscriptions&) = delete;
    subscriptions& operator=(const subscriptions&) = delete;
    ~subscriptions() { end(); }

    void on_signal(int number) noexcept override {
        if (next_awaiter* const waiter = owner_.first_) {
            owner_.unlink(*waiter);
            waiter->number_ = number;
            waiter->complete();
        } else if (std::find(owner_.untaken_.begin(), owner_.untaken_.end(), number) == owner_.untaken_.end()) {
            owner_.untaken_.push_back(number);  // there is room for each
        }
    }

private:
    void end() noexcept {
        for (signal_relay* const each : relays_) unsubscribe(each);
    }

    signal_set& owner_;
    std::vector<signal_relay*> relays_;
};

signal_set::signal_set(std::initializer_list<int> numbers)
    : subscriptions_(std::make_unique<subscriptions>(*this, numbers)) {}

signal_set::~signal_set() = default;

void signal_set::unlink(next_awaiter& leaving) noexcept {
    (leaving.previous_ ? leaving.previous_->next_ : first_) = leaving.next_;
    (leaving.next_ ? leaving.next_->previous_ : last_) = leaving.previous_;
}

bool signal_set::next_awaiter::begin() noexcept {
    if (!owner_.untaken_.empty()) {
        number_ = owner_.untaken_.front();
        owner_.untaken_.erase(owner_.untaken_.begin());
        return true;
    }
    previous_ = owner_.last_;
    (previous_ ? previous_->next_ : owner_.first_) = this;
    owner_.last_ = this;
    return false;
}

bool signal_set::next_awaiter::abandon() noexcept {
    owner_.unlink(*this);
    return true;
}

}  // namespace tercet::asyncio
