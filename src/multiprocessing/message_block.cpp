// The file is sealed against shrinking, which a receiver insists on: else reading the mapping could end in SIGBUS. Its
// contents may still be changed by the sender while they are read; so nothing is decided by them, they are only copied.

#include <tercet/multiprocessing/errors.hpp>
#include <tercet/multiprocessing/message_block.hpp>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <limits>
#include <utility>

namespace tercet::multiprocessing {

namespace {

constexpr std::size_t huge_page = std::size_t{2} << 20U;

constexpr std::size_t aligned(std::size_t size) {
    return (size + message_block::alignment - 1) / message_block::alignment * message_block::alignment;
}

}  // namespace

message_block::~message_block() { reset(); }

void message_block::reset() noexcept {
    if (memory_) ::munmap(memory_, capacity_);
    memory_ = nullptr;
    file_.reset();
    size_ = capacity_ = 0;
}

std::optional<std::size_t> message_block::append(const void* bytes, std::size_t count) noexcept {
    if (count > std::numeric_limits<std::size_t>::max() / 4 - size_) return std::nullopt;
    const std::size_t at = size_;
    const std::size_t end = at + aligned(count);
    if (end > capacity_ && !grow(end)) return std::nullopt;
    std::memcpy(memory_ + at, bytes, count);
    size_ = end;
    return at;
}

bool message_block::grow(std::size_t at_least) noexcept {
    if (!file_) {
        unique_fd fresh(::memfd_create("tercet-block", MFD_CLOEXEC | MFD_ALLOW_SEALING));
        if (!fresh || ::fcntl(fresh.get(), F_ADD_SEALS, F_SEAL_SHRINK) != 0) return false;
        file_ = std::move(fresh);
    }
    const std::size_t page = 4096;
    const std::size_t wanted = std::max(at_least, capacity_ + capacity_ / 2);
    const std::size_t capacity = (wanted + page - 1) / page * page;
    if (::ftruncate(file_.get(), static_cast<off_t>(capacity)) != 0) return false;
    void* const moved = memory_ ? ::mremap(memory_, capacity_, capacity, MREMAP_MAYMOVE)
                                : ::mmap(nullptr, capacity, PROT_READ | PROT_WRITE, MAP_SHARED, file_.get(), 0);
    if (moved == MAP_FAILED) return false;
    memory_ = static_cast<std::byte*>(moved);
    capacity_ = capacity;
    return true;
}

received_block::received_block(const unique_fd& file) {
    struct stat info {};
    const int seals = ::fcntl(file.get(), F_GET_SEALS);
    if (seals < 0 || (seals & F_SEAL_SHRINK) == 0 || ::fstat(file.get(), &info) != 0 || info.st_size <= 0)
        throw decode_error("decode: the large parts of a message are not in a file of the kind that was agreed on");
    const auto size = static_cast<std::size_t>(info.st_size);
    void* const memory = ::mmap(nullptr, size, PROT_READ, MAP_SHARED | MAP_POPULATE, file.get(), 0);
    if (memory == MAP_FAILED) throw decode_error(fmt::format("decode: mmap: {}", std::strerror(errno)));
    bytes_ = {static_cast<const std::byte*>(memory), size};
}

received_block::received_block(received_block&& other) noexcept : bytes_(std::exchange(other.bytes_, {})) {}
received_block& received_block::operator=(received_block&& other) noexcept {
    std::swap(bytes_, other.bytes_);
    return *this;
}

received_block::~received_block() {
    if (!bytes_.empty()) ::munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
}

std::span<const std::byte> received_block::part(std::size_t offset, std::size_t count) const {
    if (offset % message_block::alignment != 0 || offset > bytes_.size() || count > bytes_.size() - offset)
        throw decode_error(fmt::format("decode: {} bytes at {} of a block of {}", count, offset, bytes_.size()));
    return bytes_.subspan(offset, count);
}

void expect_to_fill(void* memory, std::size_t size) noexcept {
    const auto first = (reinterpret_cast<std::uintptr_t>(memory) + huge_page - 1) / huge_page * huge_page;
    const auto last = (reinterpret_cast<std::uintptr_t>(memory) + size) / huge_page * huge_page;
    const int error = errno;
    if (last > first) ::madvise(reinterpret_cast<void*>(first), last - first, MADV_HUGEPAGE);
    errno = error;
}

}  // namespace tercet::multiprocessing
