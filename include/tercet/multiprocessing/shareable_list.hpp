#pragma once

#include <tercet/multiprocessing/rlock.hpp>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <variant>
#include <vector>

namespace tercet::multiprocessing {

/// A list of fixed length that processes share, whose items are none, bool, int, double or string. A handle: copies are
/// the same list, also one that was sent to a worker. Each slot has room for any number, and for a string as long as
/// its first one, rounded up to 8 bytes; an item may take the place of one of another type. Reading and assigning take
/// the list's lock. Any thread.
///
///     shareable_list state({"idle", 0, 0.5, std::monostate()});
///     state.set(1, 42);      std::get<std::int64_t>(state.get(1));
class shareable_list {
public:
    /// An item, as Python's None, bool, int, float and str.
    class item : public std::variant<std::monostate, bool, std::int64_t, double, std::string> {
    public:
        using variant::variant;
        item(int number) : variant(std::int64_t{number}) {}     // NOLINT(google-explicit-constructor)
        item(const char* text) : variant(std::string(text)) {}  // NOLINT(google-explicit-constructor)
        friend bool operator==(const item&, const item&) = default;
    };

    /// No items.
    shareable_list() : shareable_list(std::vector<item>()) {}
    /// Throws `std::system_error` when there is no descriptor or memory for it.
    explicit shareable_list(const std::vector<item>& items);

    std::size_t size() const noexcept;
    /// Throws `std::out_of_range`, and `decode_error` when its memory was overwritten; so do the others.
    item get(std::size_t index) const;
    /// Throws `std::length_error` when the string does not fit into the slot, which then keeps what it has.
    void set(std::size_t index, const item& next) const;
    /// All items, of one moment.
    std::vector<item> items() const;
    /// How many are equal to `wanted`.
    std::size_t count(const item& wanted) const;
    /// The first that is equal to `wanted`. Throws `std::invalid_argument` when there is none.
    std::size_t index(const item& wanted) const;

    const rlock& get_lock() const noexcept { return memory_; }

    template <class Archive>
    void serialize(Archive& archive) {
        memory_.serialize_with(archive);
        if constexpr (Archive::is_loading) check_size();
    }

private:
    struct slot;
    struct memory : rlock {
        explicit memory(std::size_t bytes) : rlock(bytes) {}
        std::span<std::byte> bytes() const noexcept { return {beside(), size_beside()}; }
        template <class Archive>
        void serialize_with(Archive& archive) {
            serialize_as(archive, page_kind::rlock, sizeof(std::uint64_t));
        }
    };

    static std::size_t bytes_for(const std::vector<item>& items);
    void check_size() const;
    slot& slot_at(std::size_t index) const;
    std::byte* place_of(const slot& where, std::uint64_t start, std::uint64_t count) const;
    item read(std::size_t index) const;

    memory memory_;
};

}  // namespace tercet::multiprocessing
