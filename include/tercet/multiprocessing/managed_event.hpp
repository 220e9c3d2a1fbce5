#pragma once

#include <tercet/futures/time_limit.hpp>
#include <tercet/multiprocessing/proxy.hpp>

#include <memory>

namespace tercet::multiprocessing {

namespace served {

class event {
public:
    static constexpr bool is_thread_safe = true;

    event();
    ~event();
    event(const event&) = delete;
    event& operator=(const event&) = delete;

    void set();
    void clear();
    bool is_set() const;
    bool wait(wait_time limit);

private:
    struct state;
    std::unique_ptr<state> state_;
};

}  // namespace served

/// Python's `Event` in a manager. Any thread.
class event_proxy : public proxy<served::event> {
public:
    using proxy<served::event>::proxy;

    /// Lets all go who wait, also when it is cleared at once.
    void set() const { call<&served::event::set>(); }
    /// From now on those who wait do so until it is set again.
    void clear() const { call<&served::event::clear>(); }
    /// It is set.
    bool is_set() const { return call<&served::event::is_set>(); }
    /// Waits up to `limit` until it is set. Returns whether it was.
    bool wait(time_limit limit = {}) const { return call<&served::event::wait>(limit.duration()); }
};

}  // namespace tercet::multiprocessing
