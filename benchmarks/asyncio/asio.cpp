#include <asio.hpp>
#include <asio/experimental/as_tuple.hpp>

#include "asio_rows.hpp"

namespace tercet::benchmarks {

namespace {

namespace library = ::asio;

struct names {
    template <class T>
    using awaitable = library::awaitable<T>;
    using context = library::io_context;
    using timer = library::steady_timer;

    static void spawn(context& loop, awaitable<void> work) {
        library::co_spawn(loop, std::move(work), library::detached);
    }
    static auto spawned(context& loop, awaitable<long> work) {
        return library::co_spawn(loop, std::move(work), library::use_awaitable);
    }
    static auto post(context& loop) { return library::post(loop, library::use_awaitable); }
    /// A timer that is cancelled is an event.
    static awaitable<void> wait(timer& waited) {
        co_await waited.async_wait(library::experimental::as_tuple(library::use_awaitable));
    }
};

using rows = asio_rows<names>;

const contender here("asio", {{"spawn_one", rows::spawn_one},
                              {"spawn_1000", rows::spawn_1000},
                              {"spawn_1M", rows::spawn_1m},
                              {"call", rows::call},
                              {"yield", rows::yield},
                              {"sleepers_100k", rows::sleepers_100k},
                              {"sleepers_100k_cpu", rows::sleepers_100k_cpu},
                              {"sleepers_1M", rows::sleepers_1m},
                              {"sleepers_1M_cpu", rows::sleepers_1m_cpu}});

}  // namespace

}  // namespace tercet::benchmarks
