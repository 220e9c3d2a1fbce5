// A library that the program has loaded since its fork server was started (dlopen) is unknown to workers, and so is the
// path of its file: a reference says only which one it is. But the kernel tells what another process of the same user
// has mapped, so the worker looks there, for a file with that id, when a call needs it: nobody pays who has no such
// library.

#include "module_identity.hpp"

#include <tercet/multiprocessing/unique_fd.hpp>

#include <dlfcn.h>
#include <elf.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <link.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>
#include <fstream>
#include <set>

#include "bootstrap.hpp"

namespace tercet::multiprocessing {

namespace {

enum class id_kind : std::uint8_t { none, build_id, file };

module_id make_id(id_kind kind, std::span<const std::uint8_t> value) {
    module_id id{};
    const std::size_t size = std::min(value.size(), id.bytes.size() - 2);
    id.bytes[0] = static_cast<std::uint8_t>(kind);
    id.bytes[1] = static_cast<std::uint8_t>(size);
    std::copy_n(value.begin(), size, id.bytes.begin() + 2);
    return id;
}

}  // namespace

std::optional<module_id> build_id_in(std::span<const std::uint8_t> notes) {
    constexpr std::size_t alignment = 4;
    const auto padded = [](std::size_t size) { return (size + alignment - 1) / alignment * alignment; };
    while (notes.size() >= sizeof(ElfW(Nhdr))) {
        ElfW(Nhdr) head;
        std::memcpy(&head, notes.data(), sizeof head);
        notes = notes.subspan(sizeof head);
        const std::size_t size = padded(head.n_namesz) + padded(head.n_descsz);
        if (size > notes.size()) break;
        if (head.n_type == NT_GNU_BUILD_ID && head.n_namesz == 4 && std::memcmp(notes.data(), "GNU", 4) == 0 &&
            head.n_descsz != 0)
            return make_id(id_kind::build_id, notes.subspan(padded(head.n_namesz), head.n_descsz));
        notes = notes.subspan(size);
    }
    return std::nullopt;
}

module_id file_id_of(const char* path) {
    struct stat file {};
    if (::stat(path, &file) != 0) return {};
    const std::array<std::uint64_t, 3> parts{file.st_dev, file.st_ino, static_cast<std::uint64_t>(file.st_size)};
    std::array<std::uint8_t, sizeof parts> bytes{};
    std::memcpy(bytes.data(), parts.data(), sizeof parts);
    return make_id(id_kind::file, bytes);
}

std::string describe(const module_id& id) {
    const std::size_t size = std::min<std::size_t>(id.bytes[1], id.bytes.size() - 2);
    std::string text = id.bytes[0] == static_cast<std::uint8_t>(id_kind::build_id) ? "build-id " : "file ";
    for (std::size_t i = 0; i < size; ++i) text += fmt::format("{:02x}", id.bytes[i + 2]);
    return text;
}

namespace {

/// The contents of a file.
class mapped_file {
public:
    explicit mapped_file(const char* path) {
        const unique_fd file(::open(path, O_RDONLY | O_CLOEXEC));
        struct stat status {};
        if (!file || ::fstat(file.get(), &status) != 0 || !S_ISREG(status.st_mode) || status.st_size <= 0) return;
        const auto size = static_cast<std::size_t>(status.st_size);
        void* const start = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file.get(), 0);
        if (start != MAP_FAILED) bytes_ = {static_cast<const std::uint8_t*>(start), size};
    }
    mapped_file(const mapped_file&) = delete;
    mapped_file& operator=(const mapped_file&) = delete;
    ~mapped_file() {
        if (!bytes_.empty()) ::munmap(const_cast<std::uint8_t*>(bytes_.data()), bytes_.size());
    }

    /// A part of it, empty where that is not there as a whole.
    std::span<const std::uint8_t> part(std::size_t offset, std::size_t size) const noexcept {
        return offset <= bytes_.size() && size <= bytes_.size() - offset ? bytes_.subspan(offset, size)
                                                                         : std::span<const std::uint8_t>();
    }

private:
    std::span<const std::uint8_t> bytes_;
};

/// The id that a library has once it is loaded.
module_id id_of_library(const char* path) {
    const mapped_file file(path);
    ElfW(Ehdr) head;
    const auto start = file.part(0, sizeof head);
    if (start.empty()) return {};
    std::memcpy(&head, start.data(), sizeof head);
    if (std::memcmp(head.e_ident, ELFMAG, SELFMAG) != 0 || head.e_phentsize != sizeof(ElfW(Phdr))) return {};
    for (std::size_t i = 0; i < head.e_phnum; ++i) {
        ElfW(Phdr) segment;
        const auto place = file.part(head.e_phoff + i * sizeof segment, sizeof segment);
        if (place.empty()) return {};
        std::memcpy(&segment, place.data(), sizeof segment);
        if (segment.p_type != PT_NOTE) continue;
        if (const auto id = build_id_in(file.part(segment.p_offset, segment.p_filesz))) return *id;
    }
    return file_id_of(path);
}

/// The files whose code a process has mapped.
std::set<std::string> mapped_code(pid_t pid) {
    std::set<std::string> paths;
    std::ifstream maps(fmt::format("/proc/{}/maps", pid));
    for (std::string line; std::getline(maps, line);) {
        const auto access = line.find(' ');
        const auto path = line.find('/');
        if (access == std::string::npos || path == std::string::npos || line.size() < access + 4) continue;
        if (line[access + 3] == 'x') paths.insert(line.substr(path));
    }
    return paths;
}

}  // namespace

std::string load_module_of_caller(const module_id& id) {
    const pid_t caller = calling_process();
    if (caller == 0) return "it is another build";
    for (const auto& path : mapped_code(caller)) {
        if (id_of_library(path.c_str()) != id) continue;
        if (::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL)) return {};
        const char* const error = ::dlerror();
        return fmt::format("the program has loaded {} since; here that fails: {}", path, error ? error : "unknown");
    }
    return fmt::format("it is another build, or its file is gone: process {} has none such", caller);
}

}  // namespace tercet::multiprocessing
