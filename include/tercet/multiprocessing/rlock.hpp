#pragma once

#include <tercet/multiprocessing/recoverable_lock.hpp>

namespace tercet::multiprocessing {

/// A lock among processes that its owner may take again; it is free when it was released as often as it was taken.
/// Python's `multiprocessing.RLock`. See `recoverable_lock` for what it does.
class rlock : public recoverable_lock {
public:
    /// Throws `std::system_error` when there is no descriptor or memory for it.
    rlock() : rlock(0) {}

    template <class Archive>
    void serialize(Archive& archive) {
        serialize_as(archive, page_kind::rlock);
    }

protected:
    explicit rlock(std::size_t extra) : recoverable_lock(page_kind::rlock, "tercet-rlock", extra) {}
};

}  // namespace tercet::multiprocessing
