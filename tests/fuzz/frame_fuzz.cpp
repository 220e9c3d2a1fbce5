// What comes through the socket of a worker, and through a connection, in any pieces: whole messages that are as large
// as they say, or an end.

#include <tercet/multiprocessing/codec.hpp>
#include <tercet/multiprocessing/remote_exception.hpp>

#include <multiprocessing/frame.hpp>
#include <multiprocessing/message_socket.hpp>
#include <multiprocessing/socket.hpp>
#include <sys/socket.h>

#include <cstdint>
#include <string>
#include <vector>

#include "fuzz_input.hpp"

namespace {

using namespace tercet::multiprocessing;

constexpr std::uint64_t limit = 1U << 16U;

void decode_payload(std::span<const std::byte> payload) {
    try {
        decoder in(payload);
        decode<std::vector<std::string>>(in);
    } catch (const decode_error&) {
    }
    try {
        decoder in(payload);
        decode_exception(in);
    } catch (const decode_error&) {
    }
}

/// False: nothing more can be read.
bool read_frames(frame_reader& reader, int socket) {
    for (;;) {
        switch (reader.read(socket)) {
            case frame_reader::status::complete:
                require(reader.payload().size() == reader.head().size && reader.head().size <= limit);
                decode_payload(reader.payload());
                reader.next();
                break;
            case frame_reader::status::blocked:
                return true;
            default:
                return false;
        }
    }
}

bool read_messages(message_reader& reader, int socket) {
    for (;;) {
        switch (reader.read(socket, limit)) {
            case message_status::done: {
                const byte_buffer bytes = reader.take_bytes();
                require(bytes.size() <= limit);
                decode_payload(bytes.bytes());
                break;
            }
            case message_status::blocked:
                return true;
            default:
                return false;
        }
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    fuzz_input input(data, size);
    auto [here, there] = make_socket_pair();
    set_nonblocking(here.get());
    set_nonblocking(there.get());
    const bool is_connection = (input.take<std::uint8_t>() & 1U) != 0;
    frame_reader frames(limit);
    message_reader messages;
    bool goes_on = true;
    while (goes_on && !input.is_empty()) {
        const auto kind = input.take<std::uint8_t>();
        std::size_t sent = 0;
        if (kind % 4 == 0 && is_connection) {  // a head that is right
            message_head head;
            head.size = input.take<std::uint16_t>();
            send_bytes(there.get(), std::as_bytes(std::span(&head, 1)), sent);
        } else if (kind % 4 == 0) {
            frame_head head;
            head.size = input.take<std::uint16_t>();
            send_bytes(there.get(), std::as_bytes(std::span(&head, 1)), sent);
        } else {
            send_bytes(there.get(), input.take_bytes(kind), sent);
        }
        goes_on = is_connection ? read_messages(messages, here.get()) : read_frames(frames, here.get());
    }
    there.reset();
    if (goes_on) is_connection ? read_messages(messages, here.get()) : read_frames(frames, here.get());
    return 0;
}
