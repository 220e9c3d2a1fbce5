#include <boost/asio.hpp>
#include <boost/asio/experimental/channel.hpp>

#include "asio_rows.hpp"

namespace tercet::benchmarks {

namespace {

namespace library = ::boost::asio;
using boost::system::error_code;

struct names {
    template <class T>
    using awaitable = library::awaitable<T>;
    using context = library::io_context;
    using timer = library::steady_timer;
    using tcp = library::ip::tcp;
    using channel = library::experimental::channel<void(error_code, long)>;

    static void spawn(context& loop, awaitable<void> work) {
        library::co_spawn(loop, std::move(work), library::detached);
    }
    static auto spawned(context& loop, awaitable<long> work) {
        return library::co_spawn(loop, std::move(work), library::use_awaitable);
    }
    static auto post(context& loop) { return library::post(loop, library::use_awaitable); }
    static auto put(channel& to, long message) { return to.async_send(error_code(), message, library::use_awaitable); }
    static auto get(channel& from) { return from.async_receive(library::use_awaitable); }

    static auto loopback() { return library::ip::address_v4::loopback(); }
    static auto accept(tcp::acceptor& listener) { return listener.async_accept(library::use_awaitable); }
    static auto write(tcp::socket& to, const char* data, std::size_t count) {
        return library::async_write(to, library::buffer(data, count), library::use_awaitable);
    }
    /// 0 at the end of the stream.
    static awaitable<std::size_t> read_some(tcp::socket& from, std::vector<char>& into) {
        const auto [error, count] =
            co_await from.async_read_some(library::buffer(into), library::as_tuple(library::use_awaitable));
        co_return error ? 0 : count;
    }
    /// A timer that is cancelled is an event.
    static awaitable<void> wait(timer& waited) {
        co_await waited.async_wait(library::as_tuple(library::use_awaitable));
    }
};

const contender here("boost.asio", asio_rows<names>::every_row());

}  // namespace

}  // namespace tercet::benchmarks
