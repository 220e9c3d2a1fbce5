#pragma once

#include <tercet/multiprocessing/recoverable_lock.hpp>

namespace tercet::multiprocessing {

/// Mutual exclusion among processes and their threads: Python's `multiprocessing.Lock`. Not recursive. See
/// `recoverable_lock` for what it does.
///
///     lock door;
///     pool.submit([](lock door) { const std::lock_guard inside(door); ... }, door);
///
/// `lock` is this class by its Python name, which a class that has a method `lock` cannot have itself.
class primitive_lock : public recoverable_lock {
public:
    /// Throws `std::system_error` when there is no descriptor or memory for it.
    primitive_lock() : recoverable_lock(page_kind::lock, "tercet-lock") {}

    template <class Archive>
    void serialize(Archive& archive) {
        serialize_as(archive, page_kind::lock);
    }
};

using lock = primitive_lock;

}  // namespace tercet::multiprocessing
