#pragma once

#include <tercet/multiprocessing/connection.hpp>

#include <cstdint>

namespace tercet::multiprocessing {

/// What goes over a connection to a manager: calls one way and answers the other, as they are, each by turns.
class manager_line {
public:
    using message = connection::received;
    static constexpr std::uint64_t call_type = 0x74636d63'616c6c31;
    static constexpr std::uint64_t answer_type = 0x74636d61'6e737731;

    static void send(connection& line, std::uint64_t type, encoder& message) {
        line.send_message(type, message.buffer().bytes(), message.take_descriptors(), {});
    }
    static message receive(connection& line) { return line.receive_message({}); }
};

/// What an answer begins with.
enum class manager_status : std::uint8_t {
    result,
    error,
};

}  // namespace tercet::multiprocessing
