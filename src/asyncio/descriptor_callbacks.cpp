// Registered level-triggered with exactly the directions that have a callback, so that an event for nobody cannot make
// the loop spin. A callback that is due stands in the ready queue once, whatever the poller reports meanwhile; one that
// was removed is marked cancelled, and does nothing when its turn comes. A hang-up is reported for both directions,
// also for one without a callback: it then calls the other, which has to notice by its own read or write, as with epoll
// itself.

#include "asyncio/descriptor_callbacks.hpp"

#include <tercet/futures/errors.hpp>

#include <fmt/format.h>

#include <system_error>
#include <utility>

namespace tercet::asyncio {

class descriptor_callbacks::watch final : public io_source {
public:
    watch(event_loop& loop, int descriptor) noexcept : io_source(descriptor), loop_(loop) {}

    void on_ready(readiness what) noexcept override {
        const bool is_hangup = includes(what, readiness::hangup);
        if (reader_.call && (is_hangup || includes(what, readiness::readable))) reader_.call->make_ready(loop_);
        if (writer_.call && (is_hangup || includes(what, readiness::writable))) writer_.call->make_ready(loop_);
    }
    void on_loop_end() noexcept override {}

    struct callback {
        scheduled_call* call = nullptr;
        owner whose = owner::user;
    };

    callback& slot(readiness what) noexcept { return what == readiness::readable ? reader_ : writer_; }
    readiness interest() const noexcept {
        return (reader_.call ? readiness::readable : readiness::none) |
               (writer_.call ? readiness::writable : readiness::none);
    }

private:
    event_loop& loop_;
    callback reader_;
    callback writer_;
};

namespace {

void drop(scheduled_call* callback) noexcept {
    if (!callback) return;
    callback->cancel();
    callback->release();
}

}  // namespace

descriptor_callbacks::descriptor_callbacks(event_loop& loop, poller& polled) noexcept : loop_(loop), poller_(polled) {}

descriptor_callbacks::~descriptor_callbacks() {
    for (auto& [descriptor, each] : watches_) {
        drop(each->slot(readiness::readable).call);
        drop(each->slot(readiness::writable).call);
        poller_.remove(*each);
    }
}

void descriptor_callbacks::add(int descriptor, readiness what, owner whose, scheduled_call& callback) {
    auto& entry = watches_[descriptor];
    const bool is_new = !entry;
    if (!is_new) {
        const watch::callback& present = entry->slot(what);
        if (present.call && (whose == owner::wait || present.whose == owner::wait))
            throw invalid_state_error(fmt::format("watch descriptor {}: somebody else waits for the same", descriptor));
    }
    try {
        if (is_new) entry = std::make_unique<watch>(loop_, descriptor);
        if (is_new)
            poller_.add(*entry, what, trigger::level);
        else
            poller_.modify(*entry, entry->interest() | what, trigger::level);
    } catch (...) {
        if (is_new) watches_.erase(descriptor);
        throw;
    }
    callback.add_reference();
    drop(std::exchange(entry->slot(what), {&callback, whose}).call);
}

bool descriptor_callbacks::remove(int descriptor, readiness what, owner whose) {
    const auto found = watches_.find(descriptor);
    if (found == watches_.end()) return false;
    watch& entry = *found->second;
    if (!entry.slot(what).call || entry.slot(what).whose != whose) return false;
    drop(std::exchange(entry.slot(what), {}).call);
    if (entry.interest() == readiness::none) {
        poller_.remove(entry);
        watches_.erase(found);
    } else {
        try {
            poller_.modify(entry, entry.interest(), trigger::level);
        } catch (const std::system_error&) {  // NOLINT(bugprone-empty-catch): closed already, so nothing is watched
        }
    }
    return true;
}

}  // namespace tercet::asyncio
