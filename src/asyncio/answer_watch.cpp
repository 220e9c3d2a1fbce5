// Results are decoded by code of users, which must not run inside the poller; so the watch makes itself ready there,
// and takes the answers in one of the next turns. The futures that it finishes reach their coroutines through the
// inbox, as from any thread; the loop is awake then, so nobody is woken.

#include "asyncio/answer_watch.hpp"

#include <tercet/asyncio/event_loop.hpp>
#include <tercet/futures/future_state.hpp>

#include <exception>
#include <utility>

namespace tercet::asyncio {

answer_watch::answer_watch(event_loop& loop, std::shared_ptr<answer_source> source, int descriptor) noexcept
    : io_source(descriptor), ready_node(&take), loop_(loop), source_(std::move(source)) {}

answer_watch* answer_watch::join(event_loop& loop, future_state_base& awaited) noexcept {
    const std::shared_ptr<answer_source> source = awaited.answers();
    if (!source) return nullptr;
    for (answer_watch* watch = loop.answer_watches_; watch; watch = watch->next_watch_) {
        if (watch->source_ != source) continue;
        ++watch->waits_;
        return watch;
    }
    const int descriptor = source->begin_taking();
    if (descriptor < 0) return nullptr;
    try {
        auto made = std::unique_ptr<answer_watch>(new answer_watch(loop, source, descriptor));
        loop.watch(*made, readiness::readable, trigger::edge);
        made->next_watch_ = std::exchange(loop.answer_watches_, made.get());
        return made.release();
    } catch (const std::exception&) {  // no memory or no room in the poller: the other thread goes on
        source->end_taking();
        return nullptr;
    }
}

void answer_watch::end_unused(event_loop& loop) noexcept {
    for (answer_watch* watch = loop.answer_watches_; watch;) {
        answer_watch* const next = watch->next_watch_;
        if (watch->waits_ == 0) {
            loop.forget(*watch);
            watch->end();
        }
        watch = next;
    }
}

void answer_watch::on_ready(readiness) noexcept {
    if (std::exchange(is_due_, true)) return;
    loop_.schedule(*this);
}

void answer_watch::on_loop_end() noexcept { end(); }

void answer_watch::take(ready_node& self, reason why) noexcept {
    auto& watch = static_cast<answer_watch&>(self);
    watch.is_due_ = false;
    if (!watch.source_)
        delete &watch;
    else if (why == reason::run)
        watch.source_->take_answers();
}

/// After the poller has forgotten it.
void answer_watch::end() noexcept {
    answer_watch** link = &loop_.answer_watches_;
    while (*link != this) link = &(*link)->next_watch_;
    *link = next_watch_;
    std::exchange(source_, nullptr)->end_taking();
    if (!is_due_) delete this;
}

}  // namespace tercet::asyncio
