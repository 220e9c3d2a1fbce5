// ELF(5): section headers lead to the symbols, and each table of symbols to its strings. .symtab has all functions,
// .dynsym, which stripping leaves, those that other modules may call. The tables are copied, so that a file that is
// made shorter is a short read, not a signal.

#include "symbol_table.hpp"

#include <tercet/multiprocessing/unique_fd.hpp>

#include <cxxabi.h>
#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <memory>

namespace tercet::multiprocessing {

namespace {

using file_header = ElfW(Ehdr);
using section_header = ElfW(Shdr);
using symbol = ElfW(Sym);

constexpr std::uint64_t largest_table = std::uint64_t{256} << 20U;

/// False: that is not in the file.
bool read_at(int file, std::uint64_t position, void* to, std::size_t size) {
    auto* at = static_cast<std::byte*>(to);
    while (size != 0) {
        const ssize_t count = ::pread(file, at, size, static_cast<off_t>(position));
        if (count < 0 && errno == EINTR) continue;
        if (count <= 0) return false;
        at += count;
        position += static_cast<std::uint64_t>(count);
        size -= static_cast<std::size_t>(count);
    }
    return true;
}

std::string demangled(const char* name) {
    int status = 0;
    const std::unique_ptr<char, void (*)(void*)> readable(abi::__cxa_demangle(name, nullptr, nullptr, &status),
                                                          &std::free);
    return readable ? readable.get() : name;
}

}  // namespace

symbol_table::symbol_table(const std::string& path) {
    const unique_fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    struct stat info {};
    if (!file || ::fstat(file.get(), &info) != 0 || !S_ISREG(info.st_mode)) return;
    const auto file_size = static_cast<std::uint64_t>(info.st_size);
    file_header header{};
    if (!read_at(file.get(), 0, &header, sizeof header) || std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 ||
        header.e_shentsize != sizeof(section_header))
        return;
    std::vector<section_header> sections(header.e_shnum);
    if (!read_at(file.get(), header.e_shoff, sections.data(), sections.size() * sizeof(section_header))) return;
    const auto is_in_file = [file_size](const section_header& section) {
        return section.sh_offset <= file_size && section.sh_size <= file_size - section.sh_offset &&
               section.sh_size <= largest_table;
    };
    for (const auto kind : {SHT_SYMTAB, SHT_DYNSYM})
        for (const auto& table : sections) {
            if (table.sh_type != static_cast<std::uint32_t>(kind) || table.sh_link >= sections.size()) continue;
            const auto& strings = sections[table.sh_link];
            if (!is_in_file(table) || !is_in_file(strings)) return;
            symbols_.resize(table.sh_size);
            names_.resize(strings.sh_size);
            if (!read_at(file.get(), table.sh_offset, symbols_.data(), symbols_.size()) ||
                !read_at(file.get(), strings.sh_offset, names_.data(), names_.size()))
                symbols_.clear();
            return;
        }
}

std::string symbol_table::function_at(std::uint64_t offset) const {
    for (std::size_t at = 0; at + sizeof(symbol) <= symbols_.size(); at += sizeof(symbol)) {
        symbol each;
        std::memcpy(&each, &symbols_[at], sizeof each);
        const bool is_function = ELF64_ST_TYPE(each.st_info) == STT_FUNC && each.st_shndx != SHN_UNDEF;
        if (is_function && offset >= each.st_value && offset - each.st_value < each.st_size)
            return each.st_name < names_.size() ? demangled(names_.c_str() + each.st_name) : std::string();
    }
    return {};
}

}  // namespace tercet::multiprocessing
