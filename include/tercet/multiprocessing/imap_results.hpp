#pragma once

#include <tercet/futures/errors.hpp>
#include <tercet/futures/time_limit.hpp>
#include <tercet/multiprocessing/chunked_map.hpp>
#include <tercet/multiprocessing/finished_chunks.hpp>
#include <tercet/multiprocessing/process_pool_executor.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <iterator>
#include <map>
#include <memory>
#include <optional>
#include <ranges>
#include <stdexcept>
#include <type_traits>
#include <utility>
#include <vector>

namespace tercet::multiprocessing {

/// In which order results are taken.
enum class imap_order {
    of_input,      ///< `pool::imap`
    as_completed,  ///< `pool::imap_unordered`: the one that is ready first
};

/// The results of `pool::imap` and `pool::imap_unordered`, one after the other. Input is pulled as results are taken,
/// never further ahead than four chunks for each process. One pass, one thread; the pool must outlive it. Leaving early
/// cancels what has not started.
///
///     for (int& each : pool.imap(square, numbers)) ...
///     while (auto each = squares.next(2s)) ...
template <class Fn, std::ranges::view View, imap_order Order>
class imap_results {
    using element_type = std::ranges::range_reference_t<View>;
    using arguments = detail::single_argument<element_type>;
    using items_type = typename arguments::items_type;
    using future_type = detail::chunk_future<Fn, items_type>;
    using outcome_type = std::decay_t<decltype(std::declval<future_type&>().result().items.front())>;

public:
    using value_type = detail::chunk_value<Fn, items_type>;

    imap_results(process_pool_executor& executor, Fn fn, View input, std::size_t chunk_size)
        : executor_(executor),
          fn_(std::move(fn)),
          input_(std::move(input)),
          chunk_size_(std::min(chunk_size, most_items)),
          most_under_way_(chunk_size > most_items ? most_items : 4 * executor.max_workers() * chunk_size),
          finished_(std::make_shared<detail::finished_chunks>()) {
        cursor_.emplace(std::ranges::begin(input_));
        refill();
    }
    imap_results(const imap_results&) = delete;
    imap_results& operator=(const imap_results&) = delete;
    ~imap_results() {
        for (auto& [number, each] : under_way_) each.work.cancel();
    }

    /// The next result, waiting up to `limit` for it; nothing at the end. Throws what the call threw, and the next call
    /// goes on with the one behind it; `timeout_error`, after which nothing is lost; as the last thing an error of the
    /// input, or of a pool that takes no more.
    std::optional<value_type> next(time_limit limit = {}) {
        advance(limit);
        if (is_at_end_) return std::nullopt;
        outcome_type taken = std::move(*current_);
        current_ = nullptr;
        if (taken.error) std::rethrow_exception(std::move(taken.error));
        return std::move(taken.value);
    }

    class iterator {
    public:
        using value_type = imap_results::value_type;
        using difference_type = std::ptrdiff_t;
        using iterator_concept = std::input_iterator_tag;

        explicit iterator(imap_results* owner) noexcept : owner_(owner) {}
        /// Throws what the call threw.
        value_type& operator*() const {
            if (owner_->current_->error) std::rethrow_exception(owner_->current_->error);
            return *owner_->current_->value;
        }
        /// Waits for the next result.
        iterator& operator++() {
            owner_->advance({});
            return *this;
        }
        void operator++(int) { owner_->advance({}); }
        bool operator==(std::default_sentinel_t) const noexcept { return owner_->is_at_end_; }

    private:
        imap_results* owner_;
    };

    /// Waits for the first result.
    iterator begin() {
        if (!current_) advance({});
        return iterator(this);
    }
    std::default_sentinel_t end() const noexcept { return {}; }

private:
    struct chunk {
        future_type work{};
        std::size_t count = 0;
    };

    /// Makes the next outcome the current one.
    void advance(time_limit limit) {
        current_ = nullptr;
        if (position_ == outcomes_.size()) {
            if (under_way_.empty() && !failure_) {
                is_at_end_ = true;
                return;
            }
            under_way_.empty() ? take_failure() : take_chunk(limit);
        }
        current_ = &outcomes_[position_++];
        --items_under_way_;
        refill();
    }

    /// An error of the input, or of `submit`, is the last result.
    void take_failure() {
        outcomes_.clear();
        outcomes_.emplace_back();
        outcomes_.back().error = std::exchange(failure_, nullptr);
        position_ = 0;
        ++items_under_way_;
    }

    void take_chunk(time_limit limit) {
        const auto next = next_chunk(limit);
        chunk taken = std::move(next->second);
        under_way_.erase(next);
        outcomes_.clear();
        position_ = 0;
        std::exception_ptr error;
        try {
            auto& items = taken.work.result().items;
            if (items.size() != taken.count) throw std::out_of_range("pool: imap: a chunk has not one result an item");
            outcomes_ = std::move(items);
            return;
        } catch (...) {
            error = std::current_exception();
        }
        outcomes_.resize(taken.count);
        for (auto& each : outcomes_) each.error = error;
    }

    auto next_chunk(time_limit limit) {
        if constexpr (Order == imap_order::of_input) {
            const auto first = under_way_.begin();
            if (!first->second.work.wait(limit)) detail::throw_no_result(limit);
            return first;
        } else {
            return under_way_.find(finished_->pop(limit));
        }
    }

    /// Submits chunks as far as there is input and they may be under way.
    void refill() {
        while (waiting_ || cursor_) {
            if (!waiting_) {
                if (items_under_way_ != 0 && items_under_way_ + chunk_size_ > most_under_way_) return;
                pull();
            }
            if (waiting_ && !submit()) return;
        }
    }

    /// Makes a chunk of the next items, as far as there are any. An error of the input ends it.
    void pull() {
        waiting_ = std::make_shared<items_type>();
        try {
            while (waiting_->size() < chunk_size_) {
                // What was taken last is stepped over when the next one is needed: input may be slow to come.
                if (std::exchange(has_taken_, false)) ++*cursor_;
                if (*cursor_ == std::ranges::end(input_)) break;
                arguments::add(*waiting_, **cursor_);
                has_taken_ = true;
            }
            if (waiting_->size() == chunk_size_) return;
        } catch (...) {
            failure_ = std::current_exception();
        }
        cursor_.reset();
        if (waiting_->empty()) waiting_.reset();
    }

    /// False: the executor has no room. There will be some when a result has been taken.
    bool submit() {
        const auto place = under_way_.try_emplace(last_number_++).first;
        try {
            if constexpr (Order == imap_order::as_completed) finished_->expect(under_way_.size());
            place->second.work = executor_.submit_chunk(fn_, waiting_);
            place->second.count = waiting_->size();
            place->second.work.state().mark_read();
            if constexpr (Order == imap_order::as_completed)
                place->second.work.add_done_callback(
                    [finished = finished_, number = place->first] { finished->push(number); });
            items_under_way_ += waiting_->size();
        } catch (...) {
            const bool is_alone = under_way_.size() == 1;
            if (place->second.work.valid()) place->second.work.cancel();  // nobody would tell of its end
            under_way_.erase(place);
            if (!is_alone && detail::is_queue_full(std::current_exception())) return false;
            failure_ = std::current_exception();
            cursor_.reset();
        }
        waiting_.reset();
        return true;
    }

    process_pool_executor& executor_;
    Fn fn_;
    View input_;
    std::optional<std::ranges::iterator_t<View>> cursor_;  // nothing when the input has ended
    bool has_taken_ = false;                               // what is under it
    std::size_t chunk_size_;
    static constexpr std::size_t most_items = std::size_t{1} << 40U;  // no sum of which overflows

    std::size_t most_under_way_;
    std::shared_ptr<detail::finished_chunks> finished_;
    std::shared_ptr<items_type> waiting_;  // a chunk that the executor has not taken yet
    std::map<std::uint64_t, chunk> under_way_;
    std::uint64_t last_number_ = 0;
    std::size_t items_under_way_ = 0;  // that were not taken
    std::exception_ptr failure_;       // comes after what is under way
    std::vector<outcome_type> outcomes_;
    std::size_t position_ = 0;
    outcome_type* current_ = nullptr;
    bool is_at_end_ = false;
};

}  // namespace tercet::multiprocessing
