#include "worker_segment.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <new>
#include <string>
#include <system_error>
#include <utility>

namespace tercet::multiprocessing {

namespace {

constexpr std::size_t head_size = 4'096;
constexpr std::size_t segment_size = head_size + 2 * worker_segment::ring_size;
static_assert(sizeof(worker_segment::layout) <= head_size);

[[noreturn]] void fail(const char* call) {
    throw std::system_error(errno, std::system_category(), std::string("memory of a worker: ") + call);
}

void* map_shared(int file) {
    void* const memory = ::mmap(nullptr, segment_size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (memory == MAP_FAILED) fail("mmap");
    return memory;
}

}  // namespace

worker_segment::worker_segment(worker_segment&& other) noexcept : head_(std::exchange(other.head_, nullptr)) {}

worker_segment::~worker_segment() {
    if (head_) ::munmap(static_cast<void*>(head_), segment_size);
}

worker_segment worker_segment::make(unique_fd& file) {
    file = unique_fd(::memfd_create("tercet-worker", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    if (!file) fail("memfd_create");
    if (::ftruncate(file.get(), segment_size) != 0) fail("ftruncate");
    if (::fcntl(file.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) fail("F_ADD_SEALS");
    void* const memory = map_shared(file.get());
    worker_segment made(new (memory) layout{});
    if (::madvise(memory, segment_size, MADV_DONTFORK) != 0) fail("madvise");  // not a matter for forked copies
    return made;
}

worker_segment worker_segment::map(int file) { return worker_segment(static_cast<layout*>(map_shared(file))); }

std::span<std::byte> worker_segment::request_room() const noexcept {
    return {reinterpret_cast<std::byte*>(head_) + head_size, ring_size};
}

std::span<std::byte> worker_segment::answer_room() const noexcept {
    return {reinterpret_cast<std::byte*>(head_) + head_size + ring_size, ring_size};
}

}  // namespace tercet::multiprocessing
