#pragma once

#include <tercet/asyncio/cancel_scope.hpp>
#include <tercet/asyncio/coro.hpp>
#include <tercet/asyncio/stream_reader.hpp>
#include <tercet/asyncio/stream_writer.hpp>
#include <tercet/http/server_response.hpp>

#include <http/request_parser.hpp>
#include <http/response_head.hpp>
#include <http/router.hpp>
#include <http/server_state.hpp>

#include <cstddef>
#include <list>
#include <memory>
#include <string>
#include <string_view>

namespace tercet::http {

/// One client: reads its requests and sends their answers, in order, until one of both closes.
class server_connection {
public:
    server_connection(std::shared_ptr<server_state> server, asyncio::stream_reader& reader,
                      asyncio::stream_writer& writer);
    server_connection(const server_connection&) = delete;
    server_connection& operator=(const server_connection&) = delete;
    ~server_connection();

    /// Serves until the connection is over. Throws `cancelled_error` when the task is cancelled, `std::system_error`
    /// when the client has gone, and `timeout_error` when it takes nothing.
    asyncio::coro<void> run();

    /// Ends the connection if it waits for a request; otherwise it ends after the present answer.
    void send_home() noexcept;
    /// Cancels whatever it does.
    void cut() noexcept;

private:
    class chunk_writer;
    class open_scope;

    asyncio::coro<void> serve();
    asyncio::coro<bool> serve_request();
    asyncio::coro<bool> wait_for_request();
    asyncio::coro<bool> read_part(std::string_view name, seconds time);
    asyncio::coro<server_response> call(const handler& what, server_request request);
    asyncio::coro<bool> send(const server_response& answer);
    asyncio::coro<bool> send_stream(const server_response& answer, body_framing framing);
    asyncio::coro<void> refuse(int status, std::string_view detail);
    asyncio::coro<void> send_bytes(std::string_view bytes);
    asyncio::coro<void> say_goodbye();
    asyncio::coro<void> close();
    /// Up to `size` more bytes into `received_`; false at the end.
    asyncio::coro<bool> fill(std::size_t size);
    std::string_view unread() const noexcept { return std::string_view(received_).substr(taken_); }
    request_parser::progress parse();
    bool skip_empty_lines() noexcept;

    std::shared_ptr<server_state> server_;
    asyncio::stream_reader& reader_;
    asyncio::stream_writer& writer_;
    asyncio::cancel_scope* whole_ = nullptr;  // while the connection runs
    asyncio::cancel_scope* idle_ = nullptr;   // while it waits for a request
    request_parser parser_;
    std::string received_;
    std::size_t taken_ = 0;
    bool is_admitted_ = false;
    bool is_first_request_ = true;
    bool is_head_ = false;                      // the present request
    std::list<server_connection*> node_{this};  // in the server's list, or here
    const std::list<server_connection*>::iterator place_ = node_.begin();
};

}  // namespace tercet::http
