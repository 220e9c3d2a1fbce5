#pragma once

namespace tercet {

/// Where results come from outside of this process, and something has to take them in before futures are done. Usually
/// a thread of its own does; an event loop that waits for such a future does it by itself, which saves waking that
/// thread. One loop at a time. `begin_taking`: any thread; the others: the one whose `begin_taking` has succeeded.
class answer_source {
public:
    /// From now on the caller calls `take_answers` whenever the descriptor that is returned has become readable
    /// (edge-triggered; the caller does not read it). It stays open until `end_taking`. -1: somebody else takes the
    /// answers.
    virtual int begin_taking() noexcept = 0;
    /// Finishes the futures whose answers are there. Runs no callbacks, but decodes results.
    virtual void take_answers() noexcept = 0;
    /// After `begin_taking`: somebody else takes them again.
    virtual void end_taking() noexcept = 0;

    answer_source(const answer_source&) = delete;
    answer_source& operator=(const answer_source&) = delete;

protected:
    answer_source() noexcept = default;
    ~answer_source() = default;
};

}  // namespace tercet
