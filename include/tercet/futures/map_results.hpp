#pragma once

#include <tercet/futures/chunk_size.hpp>
#include <tercet/futures/future.hpp>
#include <tercet/futures/map_chunk.hpp>
#include <tercet/futures/time_limit.hpp>

#include <algorithm>
#include <cstddef>
#include <deque>
#include <exception>
#include <iterator>
#include <limits>
#include <memory>
#include <optional>
#include <ranges>
#include <stdexcept>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

namespace tercet {

/// How `map` of an executor goes about its input.
struct map_options {
    time_limit timeout = {};  ///< for all results together, from the call of `map`
    /// How many items a worker does in one go; 0: as many as take 50 to 100 us, measured on those before, beginning
    /// with one, and no more than a quarter of what would keep all workers busy to the end.
    std::size_t chunk_size = 0;
    /// How many items may be under way or waiting to be taken, chunks never being larger; 0: four chunks for each
    /// worker, at least 64 items.
    std::size_t buffer_size = 0;
};

/// The results of `executor::map`, in the order of the input. One pass, one thread.
template <class Executor, class Fn, std::ranges::view... Views>
class map_results {
    using single_type = decltype(std::declval<Executor&>().submit(
        std::declval<Fn&>(), std::declval<std::ranges::range_reference_t<Views>>()...));
    using result_type = typename single_type::value_type;
    using value_type = std::conditional_t<std::is_void_v<result_type>, std::monostate, result_type>;
    using items_type = chunk_items<std::decay_t<std::ranges::range_reference_t<Views>>...>;
    using future_type = decltype(std::declval<Executor&>().submit_chunk(
        std::declval<const Fn&>(), std::declval<const std::shared_ptr<items_type>&>()));

    using outcome_type = typename future_type::value_type;
    using item_type = typename decltype(outcome_type::items)::value_type;

public:
    map_results(Executor& pool, map_options options, Fn fn, Views... views)
        : pool_(pool),
          fn_(std::move(fn)),
          views_(std::move(views)...),
          deadline_(options.timeout.deadline()),
          chunk_size_(options, pool.max_workers()) {
        std::apply([this](Views&... each) { (note_size(each), ...); }, views_);
        next_count_ = chunk_size_.next(remaining_);
        cursors_.emplace(std::apply([](Views&... each) { return std::tuple(std::ranges::begin(each)...); }, views_));
        refill();
    }
    map_results(const map_results&) = delete;
    map_results& operator=(const map_results&) = delete;

    /// Cancels the chunks that have not started; those that run end on their own, in threads after the item at which
    /// they are, and their results are dropped.
    ~map_results() {
        for (chunk& each : pending_)
            if (!each.failure) each.work.cancel();
    }

    class iterator {
    public:
        using value_type = map_results::value_type;
        using difference_type = std::ptrdiff_t;
        using iterator_concept = std::input_iterator_tag;

        explicit iterator(map_results* owner) noexcept : owner_(owner) {}

        /// Waits for the result. Throws what the call threw, or `timeout_error` after the time limit of the whole map.
        value_type& operator*() const { return owner_->front(); }
        iterator& operator++() {
            owner_->pop();
            return *this;
        }
        void operator++(int) { owner_->pop(); }
        bool operator==(std::default_sentinel_t) const noexcept { return owner_->pending_.empty(); }

    private:
        map_results* owner_;
    };

    iterator begin() noexcept { return iterator(this); }
    std::default_sentinel_t end() const noexcept { return {}; }

private:
    /// Items that are done together, or an error in their place.
    struct chunk {
        future_type work;
        std::size_t count = 1;
        std::exception_ptr failure{};
    };

    value_type& front() {
        if (!outcomes_) {
            chunk& first = pending_.front();
            if (first.failure) std::rethrow_exception(first.failure);
            take_outcomes(first.work.result(time_left()));
        }
        if (position_ >= outcomes_->size()) throw std::out_of_range("map: a chunk has fewer results than items");
        auto& item = (*outcomes_)[position_];
        if (item.error) std::rethrow_exception(item.error);
        return *item.value;
    }

    void pop() {
        chunk& first = pending_.front();
        if (!outcomes_ && !first.failure) {
            if (!first.work.wait(time_left()))
                first.work.cancel();
            else if (!first.work.state().has_failed())
                take_outcomes(first.work.result());
        }
        --under_way_;
        if (++position_ == first.count) {
            pending_.pop_front();
            outcomes_ = nullptr;
            position_ = 0;
        }
        refill();
    }

    /// The results of the first chunk are there.
    void take_outcomes(outcome_type& outcome) {
        outcomes_ = &outcome.items;
        chunk_size_.done(pending_.front().count, outcome.took);
        next_count_ = chunk_size_.next(remaining_);
    }

    time_limit time_left() const {
        if (deadline_ == time_limit::clock::time_point::max()) return time_limit::forever();
        return std::max(deadline_ - time_limit::clock::now(), time_limit::clock::duration::zero());
    }

    template <class View>
    void note_size(View& view) {
        if constexpr (std::ranges::sized_range<View>)
            remaining_ = std::min(remaining_, static_cast<std::size_t>(std::ranges::size(view)));
    }

    bool is_exhausted() {
        return [this]<std::size_t... I>(std::index_sequence<I...>) {
            return ((std::get<I>(*cursors_) == std::ranges::end(std::get<I>(views_))) || ...);
        }
        (std::index_sequence_for<Views...>{});
    }

    /// Adds the next item to `waiting_`; false at the end of the input. Throws what the input throws.
    bool pull() {
        if (std::exchange(has_taken_, false))
            std::apply([](auto&... cursor) { (static_cast<void>(++cursor), ...); }, *cursors_);
        if (is_exhausted()) return false;
        std::apply([this](auto&... cursor) { waiting_->emplace_back(*cursor...); }, *cursors_);
        has_taken_ = true;
        if (remaining_ != unknown) remaining_ -= remaining_ != 0;
        return true;
    }

    /// Makes a chunk of the next `count` items, as far as there are any. An error of the input ends it.
    void collect(std::size_t count) {
        waiting_ = std::make_shared<items_type>();
        waiting_->reserve(std::min(count, remaining_));
        try {
            while (waiting_->size() < count && pull()) {
            }
            if (waiting_->size() == count) return;
        } catch (...) {
            input_failure_ = std::current_exception();
        }
        cursors_.reset();
        if (waiting_->empty()) waiting_.reset();
    }

    /// Submits chunks until the buffer is full or the input ends. An error, of the input or of `submit`, takes the
    /// place of the result and ends the results, so that those before it are not lost.
    void refill() {
        for (;;) {
            if (!waiting_ && cursors_) {
                if (under_way_ != 0 && under_way_ + next_count_ > chunk_size_.buffer_size()) return;
                collect(next_count_);
                next_count_ = chunk_size_.next(remaining_);
            }
            if (!waiting_) break;
            if (!submit()) return;
        }
        if (input_failure_) add({.work = {}, .failure = std::exchange(input_failure_, nullptr)});
    }

    /// False: the executor has no room. There will be some when a result has been taken.
    bool submit() {
        const std::size_t count = waiting_->size();
        const auto begin = time_limit::clock::now();
        try {
            add({.work = pool_.submit_chunk(fn_, waiting_), .count = count});
            chunk_size_.handed_over(count, time_limit::clock::now() - begin);
        } catch (const queue_full&) {
            if (!pending_.empty()) return false;
            fail_submit();
        } catch (...) {
            fail_submit();
        }
        waiting_.reset();
        return true;
    }

    void fail_submit() {
        cursors_.reset();
        input_failure_ = std::current_exception();
    }

    void add(chunk added) {
        if (!added.failure) added.work.state().mark_read();
        under_way_ += added.count;
        pending_.push_back(std::move(added));
    }

    static constexpr std::size_t unknown = std::numeric_limits<std::size_t>::max();

    Executor& pool_;
    Fn fn_;
    std::tuple<Views...> views_;
    std::optional<std::tuple<std::ranges::iterator_t<Views>...>> cursors_;
    time_limit::clock::time_point deadline_;
    chunk_size chunk_size_;
    std::size_t remaining_ = unknown;  // items of the input, at most
    bool has_taken_ = false;  // the items under the cursors were taken; they move on when the next ones are needed
    std::shared_ptr<items_type> waiting_;  // a chunk that the executor has not taken yet
    std::exception_ptr input_failure_;     // comes after what is under way
    std::deque<chunk> pending_;
    std::vector<item_type>* outcomes_ = nullptr;  // of the first of them, when it is done and was looked at
    std::size_t position_ = 0;                    // in it
    std::size_t next_count_ = 1;                  // the size of the next one
    std::size_t under_way_ = 0;                   // items in them that were not taken
};

}  // namespace tercet
