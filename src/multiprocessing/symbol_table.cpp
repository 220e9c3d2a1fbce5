// ELF(5): section headers lead to the symbols, and each table of symbols to its strings. .symtab has all functions,
// .dynsym, which stripping leaves, those that other modules may call.

#include "symbol_table.hpp"

#include <tercet/multiprocessing/unique_fd.hpp>

#include <cxxabi.h>
#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <optional>
#include <span>
#include <string_view>

namespace tercet::multiprocessing {

namespace {

class mapped_file {
public:
    explicit mapped_file(const std::string& path) {
        const unique_fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
        struct stat info {};
        if (!file || ::fstat(file.get(), &info) != 0 || info.st_size <= 0) return;
        const auto size = static_cast<std::size_t>(info.st_size);
        void* const memory = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file.get(), 0);
        if (memory != MAP_FAILED) bytes_ = {static_cast<const std::byte*>(memory), size};
    }
    mapped_file(const mapped_file&) = delete;
    mapped_file& operator=(const mapped_file&) = delete;
    ~mapped_file() {
        if (!bytes_.empty()) ::munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
    }

    /// A copy of what stands there, if it is in the file.
    template <class T>
    std::optional<T> at(std::uint64_t position) const {
        if (position > bytes_.size() || bytes_.size() - position < sizeof(T)) return std::nullopt;
        T value;
        std::memcpy(&value, bytes_.data() + position, sizeof value);
        return value;
    }

    std::string text_at(std::uint64_t position) const {
        if (position >= bytes_.size()) return {};
        const auto* const first = reinterpret_cast<const char*>(bytes_.data() + position);
        return {first, ::strnlen(first, bytes_.size() - position)};
    }

private:
    std::span<const std::byte> bytes_;
};

using file_header = ElfW(Ehdr);
using section_header = ElfW(Shdr);
using symbol = ElfW(Sym);

std::optional<section_header> section(const mapped_file& file, const file_header& header, std::uint64_t index) {
    if (index >= header.e_shnum) return std::nullopt;
    return file.at<section_header>(header.e_shoff + index * sizeof(section_header));
}

/// Where the name of the function is in the table's strings, or nothing.
std::optional<std::uint64_t> find(const mapped_file& file, const section_header& table, std::uint64_t offset) {
    for (std::uint64_t i = 0; i < table.sh_size / sizeof(symbol); ++i) {
        const auto each = file.at<symbol>(table.sh_offset + i * sizeof(symbol));
        if (!each) break;
        const bool is_function = ELF64_ST_TYPE(each->st_info) == STT_FUNC && each->st_shndx != SHN_UNDEF;
        if (is_function && offset >= each->st_value && offset - each->st_value < each->st_size) return each->st_name;
    }
    return std::nullopt;
}

std::string demangled(const std::string& name) {
    int status = 0;
    const std::unique_ptr<char, void (*)(void*)> readable(abi::__cxa_demangle(name.c_str(), nullptr, nullptr, &status),
                                                          &std::free);
    return readable ? readable.get() : name;
}

}  // namespace

std::string function_at(const std::string& path, std::uint64_t offset) {
    const mapped_file file(path);
    const auto header = file.at<file_header>(0);
    if (!header || std::memcmp(header->e_ident, ELFMAG, SELFMAG) != 0 || header->e_shentsize != sizeof(section_header))
        return {};
    for (const auto kind : {SHT_SYMTAB, SHT_DYNSYM}) {
        for (std::uint64_t i = 0; i < header->e_shnum; ++i) {
            const auto table = section(file, *header, i);
            if (!table || table->sh_type != static_cast<std::uint32_t>(kind)) continue;
            const auto name = find(file, *table, offset);
            const auto strings = section(file, *header, table->sh_link);
            if (name && strings) return demangled(file.text_at(strings->sh_offset + *name));
        }
    }
    return {};
}

}  // namespace tercet::multiprocessing
