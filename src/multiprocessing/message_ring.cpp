// A message lies in one piece: where it would not fit before the end of the room, a record that says so fills the rest.
// The writer fills in a message and then moves its cursor, which publishes it; a writer that is killed before that has
// written nothing. Each side keeps its own cursor privately and believes the other's only within reason, so that a
// process whose memory was overwritten does harm to itself alone.

#include "message_ring.hpp"

#include <algorithm>
#include <cstring>
#include <new>

namespace tercet::multiprocessing {

namespace {

constexpr std::uint32_t padding = 0;  // the kind of a record that only fills the room

constexpr std::uint64_t rounded(std::uint64_t size) {
    constexpr std::uint64_t step = alignof(ring_record);
    return (size + step - 1) / step * step;
}

static_assert(sizeof(ring_record) % alignof(ring_record) == 0);

}  // namespace

std::size_t ring_writer::padding_before(std::size_t record_size) const noexcept {
    const std::size_t to_end = room_.size() - written_ % room_.size();
    return record_size <= to_end ? 0 : to_end;
}

bool ring_writer::has_room(std::size_t size) noexcept {
    const std::size_t record_size = sizeof(ring_record) + rounded(size);
    const std::size_t wanted = padding_before(record_size) + record_size;
    if (wanted <= room_.size() - (written_ - read_)) return true;
    const std::uint64_t read = cursors_.read.load(std::memory_order_acquire);
    is_malformed_ = is_malformed_ || read < read_ || read > written_;
    if (is_malformed_) return false;
    read_ = read;
    return wanted <= room_.size() - (written_ - read_);
}

ring_record& ring_writer::write(std::uint32_t kind, std::uint64_t detail, std::span<const std::byte> payload) noexcept {
    const std::size_t record_size = sizeof(ring_record) + rounded(payload.size());
    if (const std::size_t gap = padding_before(record_size); gap != 0) {
        // Less than a record's head may be left; the reader knows that without being told.
        if (gap >= sizeof(ring_record)) {
            auto* const filler = new (&room_[written_ % room_.size()]) ring_record{{}, padding, 0, 0};
            filler->size = gap - sizeof(ring_record);
        }
        written_ += gap;
    }
    auto* const record =
        new (&room_[written_ % room_.size()]) ring_record{{ring_record::ready}, kind, payload.size(), detail};
    if (!payload.empty()) std::memcpy(static_cast<void*>(record + 1), payload.data(), payload.size());
    written_ += record_size;
    cursors_.written.store(written_, std::memory_order_release);
    return *record;
}

ring_reader::message ring_reader::front() noexcept {
    std::uint64_t taken = taken_.load(std::memory_order_relaxed);
    const std::uint64_t written = cursors_.written.load(std::memory_order_acquire);
    if (is_malformed_ || written == taken) return {};
    const auto malformed = [this] {
        is_malformed_ = true;
        return message{};
    };
    if (written < taken || written - taken > room_.size()) return malformed();
    for (;;) {
        const std::size_t to_end = room_.size() - taken % room_.size();
        if (to_end < sizeof(ring_record)) {
            taken += to_end;
            if (written <= taken) return malformed();
            continue;
        }
        if (written - taken < sizeof(ring_record)) return malformed();
        auto* const record = reinterpret_cast<ring_record*>(&room_[taken % room_.size()]);
        const std::uint32_t kind = std::atomic_ref(record->kind).load(std::memory_order_relaxed);
        const std::uint64_t size = std::atomic_ref(record->size).load(std::memory_order_relaxed);
        const std::uint64_t most = std::min<std::uint64_t>(written - taken, to_end) - sizeof(ring_record);
        if (size > most || rounded(size) > most) return malformed();
        next_ = taken + sizeof(ring_record) + rounded(size);
        if (kind != padding)
            return {record,
                    kind,
                    std::atomic_ref(record->detail).load(std::memory_order_relaxed),
                    {reinterpret_cast<const std::byte*>(record + 1), static_cast<std::size_t>(size)}};
        taken = next_;
        if (written == taken) return malformed();  // a message follows, or there is no reason to fill up
    }
}

}  // namespace tercet::multiprocessing
