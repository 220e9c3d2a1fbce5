// Every address has a task from the beginning. Each waits until it may start; the first may at once. One that has
// started lets the next start when it fails, or when its time is up, and goes on itself. The first that connects is the
// winner, and cancels the scopes of the others. Two may connect in one turn: the second finds a winner and closes its
// own. All tasks have ended before the winner is returned, so no socket is left to anybody.

#include "asyncio/happy_eyeballs.hpp"

#include <tercet/asyncio/cancel_scope.hpp>
#include <tercet/asyncio/event.hpp>
#include <tercet/asyncio/event_loop.hpp>
#include <tercet/asyncio/gather.hpp>
#include <tercet/futures/errors.hpp>

#include <fmt/format.h>

#include <deque>
#include <exception>
#include <system_error>
#include <utility>

#include "asyncio/connect_to.hpp"

namespace tercet::asyncio {

namespace {

class race {
public:
    struct entrant {
        explicit entrant(const socket_address& where) noexcept : address(where) {}
        socket_address address;
        event may_start;
        cancel_scope* running = nullptr;
        int error = 0;
    };

    race(const std::vector<socket_address>& addresses, std::chrono::nanoseconds delay, std::size_t limit)
        : delay_(delay), limit_(limit) {
        for (const socket_address& each : addresses) entrants_.emplace_back(each);
    }

    coro<stream_pointer> run(std::string target) {
        let_start(0);
        std::vector<coro<>> attempts;
        for (std::size_t place = 0; place < entrants_.size(); ++place) attempts.push_back(attempt(place));
        co_await gather(return_exceptions, std::move(attempts));
        if (!winner_) throw_errors(target);
        co_return std::move(winner_);
    }

private:
    /// A scope by which the winner cancels the attempt.
    class cancellable {
    public:
        explicit cancellable(entrant& one) : one_(one) { one_.running = &scope_; }
        cancellable(const cancellable&) = delete;
        cancellable& operator=(const cancellable&) = delete;
        ~cancellable() { one_.running = nullptr; }

        /// Cancelled by the winner, not from outside.
        bool has_lost() const noexcept { return scope_.cancel_called() && !scope_.is_cancelled_outside(); }

    private:
        cancel_scope scope_;
        entrant& one_;
    };

    /// Lets the next start when the time is up.
    class stagger {
    public:
        stagger(race& all, std::size_t next)
            : timer_(get_running_loop().call_later(all.delay_, [&all, next] { all.let_start(next); })) {}
        stagger(const stagger&) = delete;
        stagger& operator=(const stagger&) = delete;
        ~stagger() { timer_.cancel(); }

    private:
        tercet::asyncio::handle timer_;
    };

    void let_start(std::size_t place) noexcept {
        if (place < entrants_.size()) entrants_[place].may_start.set();
    }

    coro<> attempt(std::size_t place) {
        entrant& mine = entrants_[place];
        const cancellable scope(mine);
        try {
            if (winner_) co_return;
            co_await mine.may_start.wait();
            const stagger next(*this, place + 1);
            connect_result result = co_await connect_to(mine.address, limit_);
            if (result.stream) {
                finish(std::move(result.stream));
                co_return;
            }
            mine.error = result.error;
        } catch (const cancelled_error&) {
            if (!scope.has_lost()) throw;
            co_return;
        } catch (...) {
            failure_ = std::current_exception();
        }
        let_start(place + 1);
    }

    void finish(stream_pointer stream) noexcept {
        if (winner_) return;
        winner_ = std::move(stream);
        for (const entrant& each : entrants_)
            if (each.running) each.running->cancel();
    }

    [[noreturn]] void throw_errors(const std::string& target) const {
        if (failure_) std::rethrow_exception(failure_);
        std::string tried;
        for (const entrant& each : entrants_)
            tried += fmt::format("{}{}: {}", tried.empty() ? "" : ", ", each.address.to_string(),
                                 std::system_category().message(each.error));
        throw std::system_error(entrants_.front().error, std::system_category(),
                                fmt::format("connect {} (tried {})", target, tried));
    }

    std::deque<entrant> entrants_;
    std::chrono::nanoseconds delay_;
    std::size_t limit_;
    stream_pointer winner_;
    std::exception_ptr failure_;
};

}  // namespace

std::vector<socket_address> interleave_families(const std::vector<socket_address>& addresses) {
    std::vector<socket_address> ordered;
    std::deque<socket_address> first;
    std::deque<socket_address> other;
    for (const socket_address& each : addresses)
        (each.family() == addresses.front().family() ? first : other).push_back(each);
    while (!first.empty() || !other.empty()) {
        for (std::deque<socket_address>* const from : {&first, &other}) {
            if (from->empty()) continue;
            ordered.push_back(from->front());
            from->pop_front();
        }
    }
    return ordered;
}

coro<stream_pointer> connect_to_first(std::vector<socket_address> addresses, std::chrono::nanoseconds delay,
                                      std::size_t limit, std::string target) {
    if (addresses.size() == 1) {
        connect_result result = co_await connect_to(addresses.front(), limit);
        if (result.stream) co_return std::move(result.stream);
        throw std::system_error(result.error, std::system_category(), "connect " + addresses.front().to_string());
    }
    const std::vector<socket_address> ordered = interleave_families(addresses);
    race all(ordered, delay, limit);
    co_return co_await all.run(std::move(target));
}

}  // namespace tercet::asyncio
