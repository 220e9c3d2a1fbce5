// A process maps a segment once for each access, however often it is sent there: `mappings` knows what is mapped, by
// the number of the file. So copies of a handle are one object also when one of them came back from a worker, and a
// lock that was taken through one can be released through another.
//
// A worker is sent the same array with call after call. To unmap gigabytes takes milliseconds, and to touch them again
// takes longer, so it keeps what it was sent more than once until nobody has used it from one look to the next; its
// second thread looks every second. What comes only once is not kept; and all that is kept is let go when there is no
// room to map something else.
//
// `mappings` is locked around a fork, so that the copy finds it whole.

#include <tercet/multiprocessing/errors.hpp>
#include <tercet/multiprocessing/shared_segment.hpp>

#include <fcntl.h>
#include <fmt/format.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <limits>
#include <map>
#include <mutex>
#include <system_error>
#include <tuple>
#include <utility>

#include "bell.hpp"

namespace tercet::multiprocessing {

namespace {

constexpr std::size_t smallest_kept = std::size_t{64} << 10U;
constexpr int size_seals = F_SEAL_SHRINK | F_SEAL_GROW;

struct mappings_type {
    using key = std::tuple<dev_t, ino_t, segment_access>;
    std::mutex mutex;
    std::map<key, std::weak_ptr<shared_segment>> known;

    struct kept_segment {
        std::shared_ptr<shared_segment> segment;
        bool was_used = false;  // since the last look
    };
    std::array<kept_segment, 2> kept;  // the one that was opened last is the first
    std::array<key, 4> opened_before{};
    std::size_t oldest_opened = 0;
    int bell = -1;  // none: nothing is kept
    std::atomic<bool> has_kept = false;

    // With the mutex. What is returned is to be destroyed without it.

    /// Notes that it is opened, and returns whether it was before, and is worth to be kept.
    bool note_opening(const key& opened, std::size_t size) noexcept {
        if (bell < 0 || size < smallest_kept) return false;
        if (std::ranges::find(opened_before, opened) != opened_before.end()) return true;
        opened_before[oldest_opened] = opened;
        oldest_opened = (oldest_opened + 1) % opened_before.size();
        return false;
    }
    [[nodiscard]] std::shared_ptr<shared_segment> keep(const std::shared_ptr<shared_segment>& opened) noexcept {
        std::shared_ptr<shared_segment> replaced;
        if (kept[0].segment != opened) {
            if (kept[1].segment != opened) replaced = make_room();
            std::swap(kept[0], kept[1]);
        }
        kept[0] = {opened, true};
        if (!has_kept.exchange(true, std::memory_order_relaxed)) ring(bell);
        return replaced;
    }
    /// For one more.
    [[nodiscard]] std::shared_ptr<shared_segment> make_room() noexcept { return std::move(kept[1].segment); }
    [[nodiscard]] std::array<kept_segment, 2> take_kept() noexcept {
        has_kept.store(false, std::memory_order_relaxed);
        return std::exchange(kept, {});
    }
};

mappings_type& mappings() {
    static auto* const all = new mappings_type;  // never destroyed: static handles may outlive any order
    return *all;
}

[[gnu::constructor(101)]] void prepare_for_forks() {
    ::pthread_atfork([] { mappings().mutex.lock(); }, [] { mappings().mutex.unlock(); },
                     [] {
                         mappings().bell = -1;  // nobody looks after them there
                         const auto kept = mappings().take_kept();
                         mappings().mutex.unlock();
                     });
}

[[noreturn]] void throw_errno(const std::string& what) { throw std::system_error(errno, std::system_category(), what); }

struct stat status_of(int fd) {
    struct stat status {};
    if (::fstat(fd, &status) != 0) throw_errno("shared memory: fstat");
    return status;
}

/// False: there was nothing.
bool release_kept() noexcept {
    auto& all = mappings();
    std::array<mappings_type::kept_segment, 2> released;
    const std::lock_guard guard(all.mutex);
    if (!all.has_kept.load(std::memory_order_relaxed)) return false;
    released = all.take_kept();
    return true;
}

mappings_type::key key_of(const struct stat& status, segment_access access) {
    return {status.st_dev, status.st_ino, access};
}

}  // namespace

shared_segment::shared_segment(unique_fd fd, std::size_t size, segment_access access)
    : fd_(std::move(fd)), size_(size), access_(access) {
    const int protection = access == segment_access::read_only ? PROT_READ : PROT_READ | PROT_WRITE;
    void* start = ::mmap(nullptr, size_, protection, MAP_SHARED, fd_.get(), 0);
    if (start == MAP_FAILED && errno == ENOMEM && release_kept())
        start = ::mmap(nullptr, size_, protection, MAP_SHARED, fd_.get(), 0);
    if (start == MAP_FAILED) throw_errno(fmt::format("shared memory: mmap of {} bytes", size_));
    data_ = static_cast<std::byte*>(start);
}

shared_segment::~shared_segment() {
    ::munmap(data_, size_);
    struct stat status {};
    if (::fstat(fd_.get(), &status) != 0) return;
    auto& all = mappings();
    const std::lock_guard guard(all.mutex);
    const auto found = all.known.find(key_of(status, access_));
    if (found != all.known.end() && found->second.expired()) all.known.erase(found);
}

void shared_segment::enlist() {
    const auto key = key_of(status_of(fd_.get()), access_);
    auto& all = mappings();
    const std::lock_guard guard(all.mutex);
    all.known[key] = weak_from_this();
}

std::shared_ptr<shared_segment> shared_segment::create(const char* purpose, std::size_t size) {
    if (size == 0 || size > static_cast<std::size_t>(std::numeric_limits<off_t>::max())) {
        errno = EINVAL;
        throw_errno(fmt::format("shared memory: {} bytes", size));
    }
    unique_fd fd(::memfd_create(purpose, MFD_CLOEXEC | MFD_ALLOW_SEALING));
    if (!fd) throw_errno("shared memory: memfd_create");
    if (::ftruncate(fd.get(), static_cast<off_t>(size)) != 0)
        throw_errno(fmt::format("shared memory: ftruncate to {} bytes", size));
    if (::fcntl(fd.get(), F_ADD_SEALS, size_seals | F_SEAL_SEAL) != 0) throw_errno("shared memory: F_ADD_SEALS");
    const std::shared_ptr<shared_segment> made(new shared_segment(std::move(fd), size, segment_access::read_write));
    made->enlist();
    return made;
}

std::shared_ptr<shared_segment> shared_segment::open(unique_fd fd, std::size_t size, segment_access access) {
    const int seals = ::fcntl(fd.get(), F_GET_SEALS);
    if (seals < 0 || (seals & size_seals) != size_seals)
        throw decode_error("decode: shared memory that is no memfd with a sealed size, so that it might shrink");
    const auto status = status_of(fd.get());
    if (status.st_size <= 0 || (size != any_size && static_cast<std::uint64_t>(status.st_size) != size))
        throw decode_error(
            fmt::format("decode: shared memory of {} bytes, while its handle says {}", status.st_size, size));
    const int flags = ::fcntl(fd.get(), F_GETFL);
    if (access == segment_access::read_write && (flags & O_ACCMODE) != O_RDWR)
        throw decode_error("decode: shared memory that can only be read, for a handle that writes");
    const auto key = key_of(status, access);
    auto& all = mappings();
    std::shared_ptr<shared_segment> replaced;  // outlives the guards, as do the others
    bool is_to_be_kept = false;
    {
        const std::lock_guard guard(all.mutex);
        is_to_be_kept = all.note_opening(key, static_cast<std::size_t>(status.st_size));
        const auto found = all.known.find(key);
        if (found != all.known.end())
            if (auto here = found->second.lock()) {
                if (is_to_be_kept) replaced = all.keep(here);
                return here;
            }
        if (is_to_be_kept) replaced = all.make_room();
    }
    replaced.reset();
    std::shared_ptr<shared_segment> opened(
        new shared_segment(std::move(fd), static_cast<std::size_t>(status.st_size), access));
    std::shared_ptr<shared_segment> earlier;  // of another thread
    const std::lock_guard guard(all.mutex);
    auto& entry = all.known[key];
    earlier = entry.lock();
    if (earlier) return earlier;
    entry = opened;
    if (is_to_be_kept) replaced = all.keep(opened);
    return opened;
}

void shared_segment::begin_keeping(int bell) noexcept {
    auto& all = mappings();
    const std::lock_guard guard(all.mutex);
    all.bell = bell;
}

bool shared_segment::has_kept() noexcept { return mappings().has_kept.load(std::memory_order_relaxed); }

bool shared_segment::look_after_kept() noexcept {
    auto& all = mappings();
    std::array<std::shared_ptr<shared_segment>, 2> released;
    const std::lock_guard guard(all.mutex);
    bool is_any_left = false;
    for (std::size_t i = 0; i < released.size(); ++i) {
        auto& [segment, was_used] = all.kept[i];
        const bool is_used = segment.use_count() > 1;
        if (std::exchange(was_used, is_used) || is_used)
            is_any_left = is_any_left || segment;
        else
            released[i] = std::move(segment);
    }
    all.has_kept.store(is_any_left, std::memory_order_relaxed);
    return is_any_left;
}

unique_fd shared_segment::read_only_descriptor() const {
    unique_fd fd(::open(fmt::format("/proc/self/fd/{}", fd_.get()).c_str(), O_RDONLY | O_CLOEXEC));
    if (!fd) throw_errno("shared memory: a descriptor that only reads");
    return fd;
}

}  // namespace tercet::multiprocessing
