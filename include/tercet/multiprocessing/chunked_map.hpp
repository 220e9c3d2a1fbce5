#pragma once

#include <tercet/futures/future.hpp>
#include <tercet/futures/map_chunk.hpp>
#include <tercet/multiprocessing/process_pool_executor.hpp>

#include <algorithm>
#include <atomic>
#include <concepts>
#include <cstddef>
#include <exception>
#include <memory>
#include <stdexcept>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

namespace tercet::multiprocessing::detail {

/// The items of a chunk of a map over `Element`s: one argument for each call.
template <class Element>
struct single_argument {
    using items_type = chunk_items<std::decay_t<Element>>;
    template <class E>
    static void add(items_type& items, E&& element) {
        items.emplace_back(std::forward<E>(element));
    }
};

/// Those of a starmap: a tuple, or a pair, of the arguments for each call.
template <class Element, class = std::decay_t<Element>>
struct unpacked_arguments;
template <class Element, template <class...> class Tuple, class... Ts>
struct unpacked_arguments<Element, Tuple<Ts...>> {
    using items_type = chunk_items<std::decay_t<Ts>...>;
    template <class E>
    static void add(items_type& items, E&& element) {
        std::apply([&items](auto&&... each) { items.emplace_back(std::forward<decltype(each)>(each)...); },
                   std::forward<E>(element));
    }
};

/// What `fn` gives for such items, in another process.
template <class Fn, class Items>
using chunk_future = decltype(std::declval<process_pool_executor&>().submit_chunk(
    std::declval<const Fn&>(), std::declval<const std::shared_ptr<Items>&>()));

/// As what the result of one item is kept: `std::monostate` where the function returns nothing.
template <class Fn, class Items>
using chunk_value =
    typename std::decay_t<decltype(std::declval<chunk_future<Fn, Items>&>().result().items.front())>::value_type;

/// The chunks of a map whose results are wanted all together. Kept by the callbacks of its chunks.
template <class Fn, class Items>
class chunked_map : public std::enable_shared_from_this<chunked_map<Fn, Items>> {
public:
    using value_type = chunk_value<Fn, Items>;
    using result_type = std::vector<value_type>;

    future<result_type> start(process_pool_executor& executor, const Fn& fn, Items&& items, std::size_t chunk_size) {
        future<result_type> result = out_.get_future();
        state_ = &result.state();
        out_.set_running_or_notify_cancel();
        item_count_ = items.size();
        chunk_size = std::clamp<std::size_t>(chunk_size, 1, std::max<std::size_t>(items.size(), 1));
        chunks_.resize((items.size() + chunk_size - 1) / chunk_size);
        left_.store(chunks_.size() + 1, std::memory_order_relaxed);
        std::size_t begun = 0;
        try {
            for (auto& each : chunks_) {
                const std::size_t first = begun * chunk_size;
                const std::size_t count = std::min(chunk_size, items.size() - first);
                const auto begin = items.begin() + static_cast<std::ptrdiff_t>(first);
                auto part = std::make_shared<Items>();
                part->assign(std::make_move_iterator(begin),
                             std::make_move_iterator(begin + static_cast<std::ptrdiff_t>(count)));
                each = executor.submit_chunk(fn, part);
                each.state().mark_read();
                each.add_done_callback([self = this->shared_from_this()] { self->count_down(1); });
                ++begun;
            }
        } catch (...) {
            submit_error_ = std::current_exception();
            if (begun < chunks_.size() && chunks_[begun].valid()) {  // submitted, but nobody would tell of its end
                chunks_[begun].cancel();
                chunks_[begun] = {};
            }
        }
        count_down(chunks_.size() - begun + 1);
        return result;
    }

private:
    void count_down(std::size_t count) noexcept {
        if (left_.fetch_sub(count, std::memory_order_acq_rel) == count) finish();
    }

    void finish() noexcept {
        std::exception_ptr error;
        result_type values;
        try {
            values.reserve(item_count_);
            for (auto& each : chunks_) {
                if (!each.valid()) break;
                take(each, values);
            }
            if (submit_error_) std::rethrow_exception(submit_error_);
            if (values.size() != item_count_) throw std::out_of_range("pool: map: a chunk has not one result an item");
        } catch (...) {
            error = std::current_exception();
        }
        if (std::ranges::any_of(chunks_, [](const auto& each) { return each.valid() && each.cancelled(); }))
            state_->mark_read();  // nobody has to hear of a cancellation
        chunks_.clear();
        if (error)
            out_.set_exception(std::move(error));
        else
            out_.set_result(std::move(values));
    }

    static void take(chunk_future<Fn, Items>& chunk, result_type& values) {
        for (auto& each : chunk.result().items) {
            if (each.error) std::rethrow_exception(each.error);
            values.push_back(std::move(*each.value));
        }
    }

    promise<result_type> out_;
    future_state_base* state_ = nullptr;  // of its future
    std::vector<chunk_future<Fn, Items>> chunks_;
    std::atomic<std::size_t> left_{0};  // chunks that are not over, and one for `start`
    std::size_t item_count_ = 0;
    std::exception_ptr submit_error_;
};

}  // namespace tercet::multiprocessing::detail
