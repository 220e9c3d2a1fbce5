#include <tercet/asyncio/receive_buffer.hpp>

#include <algorithm>
#include <cstdint>
#include <cstring>

namespace tercet::asyncio {

namespace {

constexpr std::size_t smallest_room = std::size_t{4} << 10;
constexpr std::size_t largest_room = std::size_t{256} << 10;
constexpr std::size_t largest_kept = std::size_t{16} << 10;
constexpr std::size_t cache_line = 64;

/// What comes from the kernel lies at the begin of a page, and large blocks of malloc begin 16 bytes into one. Where
/// the two are less than a cache line apart (modulo 4096), and only there, some CPUs (AMD EPYC) copy at a twentieth of
/// their speed: each load looks as if it needed the store before it.
char* first_line_of(char* storage) noexcept {
    const auto place = reinterpret_cast<std::uintptr_t>(storage);
    return storage + (cache_line - place % cache_line) % cache_line;
}

}  // namespace

std::span<char> receive_buffer::prepare() {
    wanted_ = std::max(wanted_, smallest_room);
    if (capacity_ - end_ < wanted_) {
        const std::size_t held = size();
        // Moving the bytes to the front is cheap only while they are few compared with what is gained.
        if (capacity_ - held >= wanted_ && begin_ >= held) {
            if (held > 0) std::memcpy(first_, first_ + begin_, held);
        } else {
            const std::size_t capacity = std::max(held + wanted_, 2 * held);
            auto larger = std::make_unique_for_overwrite<char[]>(capacity + cache_line - 1);
            char* const first = first_line_of(larger.get());
            if (held > 0) std::memcpy(first, first_ + begin_, held);
            storage_ = std::move(larger);
            first_ = first;
            capacity_ = capacity;
        }
        begin_ = 0;
        end_ = held;
    }
    return {first_ + end_, capacity_ - end_};
}

void receive_buffer::commit(std::size_t count) noexcept {
    const bool was_filled = count == capacity_ - end_;
    end_ += count;
    if (was_filled)
        wanted_ = std::min(2 * wanted_, largest_room);
    else if (count < wanted_ / 4)
        wanted_ /= 2;
}

void receive_buffer::consume(std::size_t count) noexcept {
    begin_ += count;
    if (begin_ == end_) begin_ = end_ = 0;
}

void receive_buffer::trim() noexcept {
    if (!empty() || capacity_ <= largest_kept) return;
    storage_.reset();
    first_ = nullptr;
    capacity_ = begin_ = end_ = 0;
}

}  // namespace tercet::asyncio
