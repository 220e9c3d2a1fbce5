// The number of items, then a slot for each, then the strings. Nothing that stands there is trusted: another process
// may have written it. A slot says that it is being written while that is so, and the last store is of what it holds
// from then on: a process that is killed in between leaves an item that is known to be lost, and no mixture.

#include <tercet/multiprocessing/shareable_list.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <limits>
#include <mutex>
#include <stdexcept>

namespace tercet::multiprocessing {

struct shareable_list::slot {
    static constexpr std::uint64_t is_being_written = std::numeric_limits<std::uint64_t>::max();

    std::uint64_t start;     ///< of the room for a string
    std::uint64_t capacity;  ///< its size
    std::uint64_t kind;      ///< which alternative
    std::uint64_t content;   ///< the bits of a number, the length of a string
};

namespace {

std::size_t room_for(const shareable_list::item& each) {
    const auto* const text = std::get_if<std::string>(&each);
    return text ? std::max<std::size_t>(8, (text->size() + 7) / 8 * 8) : 8;
}

template <class To, class From>
To bits_of(const From& from) {
    To to{};
    std::memcpy(&to, &from, sizeof from);
    return to;
}

}  // namespace

std::size_t shareable_list::bytes_for(const std::vector<item>& items) {
    std::size_t bytes = sizeof(std::uint64_t) + items.size() * sizeof(slot);
    for (const auto& each : items) bytes += room_for(each);
    return bytes;
}

shareable_list::shareable_list(const std::vector<item>& items) : memory_(bytes_for(items)) {
    const auto count = static_cast<std::uint64_t>(items.size());
    std::memcpy(memory_.bytes().data(), &count, sizeof count);
    std::uint64_t start = sizeof count + items.size() * sizeof(slot);
    for (std::size_t i = 0; i < items.size(); ++i) {
        slot& mine = slot_at(i);
        mine.start = start;
        mine.capacity = room_for(items[i]);
        start += mine.capacity;
        set(i, items[i]);
    }
}

void shareable_list::check_size() const {
    if (size() > (memory_.bytes().size() - sizeof(std::uint64_t)) / sizeof(slot))
        throw decode_error(
            fmt::format("decode: a shareable_list of {} items in {} bytes", size(), memory_.bytes().size()));
}

std::size_t shareable_list::size() const noexcept {
    std::uint64_t count = 0;
    std::memcpy(&count, memory_.bytes().data(), sizeof count);
    return static_cast<std::size_t>(count);
}

shareable_list::slot& shareable_list::slot_at(std::size_t index) const {
    check_size();
    if (index >= size()) throw std::out_of_range(fmt::format("shareable_list: item {} of {}", index, size()));
    return reinterpret_cast<slot*>(memory_.bytes().data() + sizeof(std::uint64_t))[index];
}

std::byte* shareable_list::place_of(const slot& where, std::uint64_t start, std::uint64_t count) const {
    const std::size_t size = memory_.bytes().size();
    if (start > size || count > size - start || count > where.capacity)
        throw decode_error("shareable_list: its memory was overwritten");
    return memory_.bytes().data() + start;
}

shareable_list::item shareable_list::read(std::size_t index) const {
    const slot where = slot_at(index);
    switch (where.kind) {
        case 0:
            return std::monostate();
        case 1:
            return where.content != 0;
        case 2:
            return static_cast<std::int64_t>(where.content);
        case 3:
            return bits_of<double>(where.content);
        case 4: {
            const std::byte* const text = place_of(where, where.start, where.content);
            return std::string(reinterpret_cast<const char*>(text), static_cast<std::size_t>(where.content));
        }
        case slot::is_being_written:
            throw decode_error(fmt::format(
                "shareable_list: item {} is lost: a process was killed while it set it; set it again", index));
        default:
            throw decode_error("shareable_list: its memory was overwritten");
    }
}

shareable_list::item shareable_list::get(std::size_t index) const {
    const std::lock_guard guard(memory_);
    return read(index);
}

void shareable_list::set(std::size_t index, const item& next) const {
    const std::lock_guard guard(memory_);
    slot& mine = slot_at(index);
    std::uint64_t content = 0;
    const std::atomic_ref kind(mine.kind);
    if (const auto* const text = std::get_if<std::string>(&next)) {
        if (text->size() > mine.capacity)
            throw std::length_error(
                fmt::format("shareable_list: a string of {} bytes for item {}, which has room for {}", text->size(),
                            index, mine.capacity));
        content = text->size();
        std::byte* const place = place_of(mine, mine.start, content);
        kind.store(slot::is_being_written, std::memory_order_seq_cst);
        std::memcpy(place, text->data(), text->size());
    } else if (const auto* const truth = std::get_if<bool>(&next)) {
        content = *truth ? 1 : 0;
    } else if (const auto* const whole = std::get_if<std::int64_t>(&next)) {
        content = static_cast<std::uint64_t>(*whole);
    } else if (const auto* const real = std::get_if<double>(&next)) {
        content = bits_of<std::uint64_t>(*real);
    }
    kind.store(slot::is_being_written, std::memory_order_seq_cst);
    std::atomic_ref(mine.content).store(content, std::memory_order_release);
    kind.store(next.index(), std::memory_order_release);
}

std::vector<shareable_list::item> shareable_list::items() const {
    const std::lock_guard guard(memory_);
    std::vector<item> all;
    for (std::size_t i = 0; i < size(); ++i) all.push_back(read(i));
    return all;
}

std::size_t shareable_list::count(const item& wanted) const {
    const auto all = items();
    return static_cast<std::size_t>(std::count(all.begin(), all.end(), wanted));
}

std::size_t shareable_list::index(const item& wanted) const {
    const auto all = items();
    const auto found = std::find(all.begin(), all.end(), wanted);
    if (found == all.end()) throw std::invalid_argument("shareable_list: no item is equal to this");
    return static_cast<std::size_t>(found - all.begin());
}

}  // namespace tercet::multiprocessing
