// The file is sealed against shrinking, which a receiver insists on: else reading the mapping could end in SIGBUS. Its
// contents may still be changed by the sender while they are read; so nothing is decided by them, they are only copied.

#include <tercet/multiprocessing/errors.hpp>
#include <tercet/multiprocessing/message_block.hpp>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
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
    if (memory_ && owner_ == ::getpid()) ::munmap(memory_, capacity_);
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
    rlimit largest{};  // of a file: beyond it there is a signal, not an error
    if (::getrlimit(RLIMIT_FSIZE, &largest) != 0 || largest.rlim_cur < at_least) return false;
    const std::size_t wanted = std::max(at_least, capacity_ + capacity_ / 2);
    const auto limit = largest.rlim_cur == RLIM_INFINITY ? wanted : std::min<std::size_t>(wanted, largest.rlim_cur);
    const std::size_t capacity = std::max(limit, at_least);
    if (::ftruncate(file_.get(), static_cast<off_t>(capacity)) != 0) return false;
    void* const moved = memory_ ? ::mremap(memory_, capacity_, capacity, MREMAP_MAYMOVE)
                                : ::mmap(nullptr, capacity, PROT_READ | PROT_WRITE, MAP_SHARED, file_.get(), 0);
    if (moved == MAP_FAILED) return false;
    memory_ = static_cast<std::byte*>(moved);
    capacity_ = capacity;
    owner_ = ::getpid();
    ::madvise(memory_, capacity_, MADV_DONTFORK);
    return true;
}

received_block::received_block(unique_fd file) : file_(std::move(file)) {
    struct stat info {};
    const int seals = ::fcntl(file_.get(), F_GET_SEALS);
    if (seals < 0 || (seals & F_SEAL_SHRINK) == 0 || ::fstat(file_.get(), &info) != 0 || info.st_size < 0)
        throw decode_error("decode: the large parts of a message are not in a file of the kind that was agreed on");
    size_ = static_cast<std::size_t>(info.st_size);
}

received_block::received_block(received_block&& other) noexcept { *this = std::move(other); }
received_block& received_block::operator=(received_block&& other) noexcept {
    file_ = std::move(other.file_);
    std::swap(size_, other.size_);
    std::swap(end_, other.end_);
    std::swap(mapped_, other.mapped_);
    std::swap(mapped_size_, other.mapped_size_);
    return *this;
}

received_block::~received_block() { unmap(); }

void received_block::unmap() noexcept {
    if (mapped_) ::munmap(std::exchange(mapped_, nullptr), mapped_size_);
}

const std::byte* received_block::part(std::size_t offset, std::size_t count) {
    if (offset % message_block::alignment != 0 || offset < end_ || offset > size_ || count > size_ - offset)
        throw decode_error(
            fmt::format("decode: {} bytes at {} of a block of {}, read up to {}", count, offset, size_, end_));
    unmap();
    end_ = offset + count;
    const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
    const std::size_t from = offset / page * page;
    mapped_size_ = end_ - from;
    void* const memory =
        ::mmap(nullptr, mapped_size_, PROT_READ, MAP_SHARED | MAP_POPULATE, file_.get(), static_cast<off_t>(from));
    if (memory == MAP_FAILED) throw decode_error(fmt::format("decode: mmap: {}", std::strerror(errno)));
    mapped_ = static_cast<std::byte*>(memory);
    return mapped_ + (offset - from);
}

void expect_to_fill(void* memory, std::size_t size) noexcept {
    const auto first = (reinterpret_cast<std::uintptr_t>(memory) + huge_page - 1) / huge_page * huge_page;
    const auto last = (reinterpret_cast<std::uintptr_t>(memory) + size) / huge_page * huge_page;
    const int error = errno;
    if (last > first) ::madvise(reinterpret_cast<void*>(first), last - first, MADV_HUGEPAGE);
    errno = error;
}

}  // namespace tercet::multiprocessing
