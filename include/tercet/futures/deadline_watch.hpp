#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <utility>

namespace tercet {

/// Something that ends when its time is over. Reference-counted by whoever implements it.
class expiring {
public:
    expiring(const expiring&) = delete;
    expiring& operator=(const expiring&) = delete;
    /// Its time is over. Called once at most, on a thread of the watch; takes as long as it likes.
    virtual void expire() noexcept = 0;
    virtual void add_expiring_reference() noexcept = 0;
    virtual void release_expiring() noexcept = 0;

protected:
    expiring() noexcept = default;
    ~expiring() = default;

private:
    friend class deadline_watch;
    using key = std::pair<std::chrono::steady_clock::time_point, std::uint64_t>;
    key key_{};  // where it stands in its watch, whose lock guards it; the number is 0 when it stands nowhere
};

/// Watches deadlines, on threads of its own: one from the first deadline on, another one while something that expired
/// is still busy with it. Thread-safe. In the child of a fork it is of no use any more.
class deadline_watch {
public:
    deadline_watch();
    deadline_watch(const deadline_watch&) = delete;
    deadline_watch& operator=(const deadline_watch&) = delete;
    /// Forgets what is still watched, and waits for its threads, but not for the one on which it goes.
    ~deadline_watch();

    /// Expires `watched` at `when`, and not at what was said before. Keeps a reference until then, until it is
    /// forgotten, or until the watch goes. Throws `std::system_error` when the thread cannot be started,
    /// `invalid_state_error` in the child of a fork.
    void add(std::chrono::steady_clock::time_point when, expiring& watched);

    /// `watched` is over: it does not expire any more, unless it is expiring now. One that is not watched is none.
    void forget(expiring& watched) noexcept;

private:
    class state;

    std::shared_ptr<state> state_;
};

}  // namespace tercet
