// The demonstration of the library: the same work over the same items in four models. Three of them differ in the type
// of one variable, the executor; the fourth awaits the work's twin.

#include "compare_run.hpp"

#include <tercet/asyncio.hpp>
#include <tercet/futures.hpp>
#include <tercet/multiprocessing.hpp>
#include <tercet/threading.hpp>

namespace tercet::tools {

namespace {

item_result failure(const std::exception_ptr& error) {
    try {
        std::rethrow_exception(error);
    } catch (const std::exception& e) {
        return {.error = e.what()};
    } catch (...) {
        return {.error = describe(error)};
    }
}

/// What the pool refuses, since it is broken, fails like what it ran.
template <executor Pool, class Item, class Value>
future<Value> submit(Pool& pool, Value (*work)(const Item&), const Item& item) {
    try {
        return pool.submit(work, item);
    } catch (...) {
        promise<Value> refused;
        refused.set_exception(std::current_exception());
        return refused.get_future();
    }
}

/// The blocking function, on any executor.
template <executor Pool, class Item, class Value>
std::vector<item_result> collect(Pool& pool, Value (*work)(const Item&), const std::vector<Item>& items,
                                 const tick& done) {
    std::vector<future<Value>> futures;
    for (const Item& item : items) futures.push_back(submit(pool, work, item));
    for ([[maybe_unused]] auto& each : as_completed(futures)) done();
    std::vector<item_result> results;
    for (auto& each : futures) {
        const std::exception_ptr error = each.exception();
        results.push_back(error ? failure(error) : item_result{.value = static_cast<double>(each.result())});
    }
    return results;
}

/// The awaiting twin, for one item.
template <class Twin, class Item>
asyncio::coro<item_result> await_item(Twin& work, const Item& item, const tick& done) {
    item_result result;
    try {
        const auto value = co_await work(item);
        result.value = static_cast<double>(value);
    } catch (...) {
        result = failure(std::current_exception());
    }
    done();
    co_return result;
}

/// The awaiting twin, for all items side by side.
template <class Twin, class Item>
asyncio::coro<std::vector<item_result>> await_all(const std::vector<Item>& items, std::size_t limit, const tick& done) {
    Twin work(limit);
    std::vector<asyncio::coro<item_result>> calls;
    for (const Item& item : items) calls.push_back(await_item(work, item, done));
    co_return co_await asyncio::gather(std::move(calls));
}

template <class Twin, class Item, class Value>
run_result run_in(model how, Value (*work)(const Item&), const std::vector<Item>& items, std::size_t workers,
                  const tick& done) {
    const meter cost;
    run_result result;
    multiprocessing::pool_resource_usage of_workers;
    switch (how) {
        case model::sequential: {
            sequential_executor pool;
            result.items = collect(pool, work, items, done);
            break;
        }
        case model::threading: {
            threading::thread_pool_executor pool(workers);
            result.items = collect(pool, work, items, done);
            break;
        }
        case model::multiprocessing: {
            multiprocessing::process_pool_executor pool(workers);
            result.items = collect(pool, work, items, done);
            pool.shutdown();
            of_workers = pool.resource_usage();
            break;
        }
        case model::asyncio: {
            result.items = asyncio::run(await_all<Twin>(items, workers, done));
            break;
        }
    }
    result.cost = cost.stop();
    result.cost.cpu_s += of_workers.cpu_seconds;
    result.cost.peak_rss_bytes += of_workers.peak_rss_bytes;
    return result;
}

}  // namespace

run_result run(model how, const std::vector<page>& items, std::size_t workers, const tick& done) {
    return run_in<page_fetcher>(how, &fetch, items, workers, done);
}

run_result run(model how, const std::vector<square_roots>& items, std::size_t workers, const tick& done) {
    return run_in<square_root_adder>(how, &sum, items, workers, done);
}

}  // namespace tercet::tools
