// The parent's end of a ring whose other end belongs to a worker that writes what it wants, where it wants, at any
// time: a message that is given out lies in the ring as a whole, and the reader comes to an end. What stands in it is
// then decoded as an answer is.

#include <tercet/multiprocessing/codec.hpp>
#include <tercet/multiprocessing/remote_exception.hpp>

#include <multiprocessing/message_ring.hpp>

#include <cstdint>
#include <cstring>
#include <map>
#include <string>
#include <vector>

#include "fuzz_input.hpp"

namespace {

using namespace tercet::multiprocessing;

constexpr std::size_t room_size = 256;

struct memory {
    ring_cursors cursors;
    alignas(ring_record) std::byte room[room_size];
};

bool is_inside(const memory& shared, std::span<const std::byte> bytes) {
    const auto begin = reinterpret_cast<std::uintptr_t>(shared.room);
    const auto first = reinterpret_cast<std::uintptr_t>(bytes.data());
    return bytes.empty() || (first >= begin && first + bytes.size() <= begin + room_size);
}

void decode_answer(const ring_reader::message& message) {
    decoder in(message.payload);
    try {
        if (message.kind % 2 == 0)
            decode_exception(in);
        else
            decode<std::map<std::string, std::vector<int>>>(in);
    } catch (const decode_error&) {
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    fuzz_input input(data, size);
    memory shared{};
    ring_reader reader(shared.cursors, shared.room);
    ring_writer honest(shared.cursors, shared.room);
    std::size_t taken = 0;
    while (!input.is_empty()) {
        const auto step = input.take<std::uint8_t>();
        switch (step % 8) {
            case 0:  // the worker moves its cursor
                shared.cursors.written.store(input.take<std::uint64_t>());
                break;
            case 1:  // by a little
                shared.cursors.written.fetch_add(input.take<std::uint16_t>());
                break;
            case 2: {  // it writes over the ring
                const std::size_t at = input.take<std::uint8_t>();
                const auto bytes = input.take_bytes(std::min<std::size_t>(step / 8U, room_size - at));
                if (!bytes.empty()) std::memcpy(shared.room + at, bytes.data(), bytes.size());
                break;
            }
            case 3: {  // it writes a message as it should
                const auto bytes = input.take_bytes(step / 8U);
                if (bytes.size() <= honest.max_payload() && honest.has_room(bytes.size()))
                    honest.write(step, size, bytes);
                break;
            }
            case 4:  // it pretends that the pool has read
                shared.cursors.read.store(input.take<std::uint64_t>());
                break;
            default: {
                const auto next = reader.front();
                if (!next.record) break;
                require(!reader.is_malformed());
                require(is_inside(shared, {reinterpret_cast<const std::byte*>(next.record), sizeof(ring_record)}));
                require(is_inside(shared, next.payload));
                decode_answer(next);
                reader.take();
                if (++taken % 3 == 0) reader.release();
                break;
            }
        }
    }
    return 0;
}
