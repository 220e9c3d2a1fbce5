#pragma once

#include <tercet/multiprocessing/codec.hpp>
#include <tercet/multiprocessing/message_queue.hpp>
#include <tercet/multiprocessing/type_hash.hpp>

namespace tercet::multiprocessing {

/// A `queue` without a bound and without time limits: for processes that know how much they send one another.
template <class T>
class simple_queue {
public:
    using value_type = T;

    /// Memory is the bound. Throws `std::system_error`.
    simple_queue() : items_("simple_queue", message_queue::unbounded, type_hash<T>) {}

    /// Puts a copy of `item`, without waiting. Throws as `queue::put`.
    void put(const T& item) {
        encoder out;
        encode(out, item);
        items_.put(out, {});
    }

    /// Takes the oldest item, waiting for one. Throws as `queue::get`.
    T get() {
        const byte_buffer bytes = items_.get({});
        decoder in(bytes.bytes());
        T item = decode<T>(in);
        in.expect_end();
        return item;
    }

    /// A moment later the answer may be different. Throws `invalid_state_error` when closed.
    bool empty() const { return items_.size() == 0; }

    /// This handle is used no more: everything else throws, also where it waits. Other handles do not notice.
    void close() noexcept { items_.close(); }

    template <class Archive>
    void serialize(Archive& archive) {
        if constexpr (Archive::is_saving)
            archive.write_descriptor(items_.descriptor());
        else
            items_.load(archive.read_descriptor(), type_hash<T>);
    }

private:
    message_queue items_;
};

}  // namespace tercet::multiprocessing
