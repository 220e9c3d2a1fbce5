#pragma once

#include <tercet/multiprocessing/byte_buffer.hpp>
#include <tercet/multiprocessing/errors.hpp>
#include <tercet/multiprocessing/message_block.hpp>
#include <tercet/multiprocessing/unique_fd.hpp>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

namespace tercet::multiprocessing {

/// How deep values may contain one another (a tree of nodes that own nodes): bounds the stack that decoding needs.
inline constexpr unsigned max_nesting = 1000;

[[noreturn]] void throw_truncated(std::size_t wanted, std::size_t left);
[[noreturn]] void throw_bad_count(std::uint64_t count, std::size_t left);
[[noreturn]] void throw_bad_value(const char* what, std::uint64_t value);
[[noreturn]] void throw_too_deep();
[[noreturn]] void throw_no_descriptor();

/// How many file descriptors may travel with one message; the kernel's limit (unix(7), SCM_RIGHTS).
inline constexpr std::size_t max_descriptors = 253;

/// Counts how deep an archive is in a value.
class nesting {
public:
    explicit nesting(unsigned& depth) : depth_(depth) {
        if (depth_ == max_nesting) throw_too_deep();
        ++depth_;
    }
    nesting(const nesting&) = delete;
    nesting& operator=(const nesting&) = delete;
    ~nesting() { --depth_; }

private:
    unsigned& depth_;
};

/// Writes values as bytes: native byte order, no tags, 64-bit counts. An archive in the sense of a member
/// `template <class Archive> void serialize(Archive& archive) { archive(x, y); }`.
class encoder {
public:
    static constexpr bool is_saving = true;
    static constexpr bool is_loading = false;

    encoder() noexcept = default;
    /// `blocks`: where large parts go; null: nowhere, they stand with the rest.
    explicit encoder(byte_buffer start, block_source* blocks = nullptr) noexcept
        : buffer_(std::move(start)), blocks_(blocks) {}

    /// Appends the values. Throws `std::bad_alloc`, and `decode_error` for a value nested too deep.
    template <class... T>
    encoder& operator()(const T&... values);

    void write(const void* bytes, std::size_t count) { buffer_.append(bytes, count); }
    template <class T>
        requires std::is_trivially_copyable_v<T>
    void write_raw(const T& value) { write(&value, sizeof value); }
    void write_count(std::size_t count) { write_raw(static_cast<std::uint64_t>(count)); }
    /// A count of elements, and their bytes, which go into a block if they are many.
    void write_elements(std::size_t count, const void* bytes, std::size_t size) {
        if (size >= least_block_size && blocks_ && write_to_block(count, bytes, size)) return;
        write_count(count);
        write(bytes, size);
    }

    /// Sends a duplicate of `fd` beside the bytes: for the `serialize` of what is known by a file descriptor. Throws
    /// `std::system_error` when `fd` is not open or there are too many, `std::length_error` beyond `max_descriptors`.
    void write_descriptor(int fd);

    byte_buffer& buffer() noexcept { return buffer_; }
    /// For transports: the descriptors that go with the bytes, in order.
    std::vector<unique_fd> take_descriptors() noexcept { return std::exchange(descriptors_, {}); }
    /// Takes them back, when they could not be sent.
    void keep_descriptors(std::vector<unique_fd> descriptors) noexcept { descriptors_ = std::move(descriptors); }
    unsigned& depth() noexcept { return depth_; }
    /// How many bytes are in a block.
    std::size_t block_size() const noexcept { return block_ ? block_->size() : 0; }

private:
    bool write_to_block(std::size_t count, const void* bytes, std::size_t size);

    byte_buffer buffer_;
    std::vector<unique_fd> descriptors_;
    block_source* blocks_ = nullptr;
    message_block* block_ = nullptr;  // the one that this message has
    unsigned depth_ = 0;
};

/// The count of elements that are in a block has this bit.
inline constexpr std::uint64_t is_in_block = std::uint64_t{1} << 63U;

/// Reads values back. Trusts nothing: a count is checked against the bytes that are left before memory is taken for it.
/// Every read throws `decode_error` when the bytes do not make a value.
class decoder {
public:
    static constexpr bool is_saving = false;
    static constexpr bool is_loading = true;

    explicit decoder(std::span<const std::byte> bytes) noexcept
        : position_(bytes.data()), end_(bytes.data() + bytes.size()) {}
    /// `descriptors`: those that came with the bytes; each is moved out of there when it is read. `most_in_block`: how
    /// many bytes may lie beside the message.
    decoder(std::span<const std::byte> bytes, std::span<unique_fd> descriptors,
            std::uint64_t most_in_block = 0) noexcept
        : position_(bytes.data()),
          end_(bytes.data() + bytes.size()),
          descriptors_(descriptors),
          most_in_block_(most_in_block) {}

    /// Reads the values, which must be the ones that were written, in order.
    template <class... T>
    decoder& operator()(T&... values);

    std::size_t left() const noexcept { return static_cast<std::size_t>(end_ - position_); }

    /// The next `count` bytes, which stay in the message.
    const std::byte* take(std::size_t count) {
        if (count > left()) throw_truncated(count, left());
        const std::byte* const bytes = position_;
        position_ += count;
        return bytes;
    }
    void read(void* bytes, std::size_t count) {
        const std::byte* const from = take(count);
        if (count != 0) std::memcpy(bytes, from, count);
    }
    template <class T>
        requires std::is_trivially_copyable_v<T> T read_raw() {
            T value;
            read(&value, sizeof value);
            return value;
        }

    /// A count of things that take at least `size_of_one` bytes each, which is not 0.
    std::size_t read_count(std::size_t size_of_one = 1) {
        const auto count = read_raw<std::uint64_t>();
        if (count > left() / size_of_one) throw_bad_count(count, left());
        return static_cast<std::size_t>(count);
    }

    /// What `write_elements` wrote: elements of `size_of_one` bytes each, and where they are until the next ones are
    /// read. Those in a block are aligned.
    struct elements {
        std::size_t count;
        const std::byte* bytes;
    };
    elements read_elements(std::size_t size_of_one) {
        const auto count = read_raw<std::uint64_t>();
        if ((count & is_in_block) != 0) return read_from_block(count & ~is_in_block, size_of_one);
        if (count > left() / size_of_one) throw_bad_count(count, left());
        return {static_cast<std::size_t>(count), take(static_cast<std::size_t>(count) * size_of_one)};
    }

    /// The next of the descriptors, closed on exec.
    unique_fd read_descriptor() {
        if (descriptors_.empty()) throw_no_descriptor();
        unique_fd next = std::move(descriptors_.front());
        descriptors_ = descriptors_.subspan(1);
        return next;
    }

    /// How many bytes of what was read were in blocks.
    std::size_t bytes_in_blocks() const noexcept { return bytes_in_blocks_; }

    /// Throws when bytes are left over.
    void expect_end() const;

    unsigned& depth() noexcept { return depth_; }

private:
    elements read_from_block(std::uint64_t count, std::size_t size_of_one);

    const std::byte* position_;
    const std::byte* end_;
    std::span<unique_fd> descriptors_;
    received_block block_;
    std::uint64_t most_in_block_ = 0;
    std::size_t bytes_in_blocks_ = 0;
    unsigned depth_ = 0;
};

}  // namespace tercet::multiprocessing
