#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace tercet::multiprocessing {

/// What a worker that crashes writes down about it in the memory that it shares with its pool.
struct crash_record {
    static constexpr std::size_t most_frames = 48;
    static constexpr std::size_t most_modules = 8;
    static constexpr std::size_t longest_name = 120;

    struct frame {
        std::uint64_t offset;  ///< in the file of the module
        std::uint32_t module;  ///< a place in `modules`, or beyond them
    };

    std::atomic<std::uint32_t> is_written;  ///< all but `frames`, which grows
    std::int32_t signal;
    std::int32_t code;                       ///< `si_code`
    std::uint64_t address;                   ///< `si_addr`
    std::atomic<std::uint32_t> frame_count;  ///< the crash itself first
    std::atomic<std::uint32_t> module_count;
    std::array<frame, most_frames> frames;
    std::array<std::array<char, longest_name>, most_modules> modules;  ///< their files; empty: the program
};

}  // namespace tercet::multiprocessing
