#pragma once

#include <tercet/futures/completion_queue.hpp>
#include <tercet/futures/wait.hpp>

#include <cstddef>
#include <iterator>
#include <ranges>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace tercet {

/// The futures of a range as they are done. See `as_completed`.
template <class Future>
class completions {
public:
    class iterator {
    public:
        using value_type = Future;
        using difference_type = std::ptrdiff_t;
        using iterator_concept = std::input_iterator_tag;

        explicit iterator(completions* owner) : owner_(owner) { advance(); }
        Future& operator*() const noexcept { return *current_; }
        iterator& operator++() {
            advance();
            return *this;
        }
        void operator++(int) { advance(); }
        bool operator==(std::default_sentinel_t) const noexcept { return current_ == nullptr; }

    private:
        void advance() { current_ = owner_->next(); }
        completions* owner_;
        Future* current_ = nullptr;
    };

    completions(std::vector<Future*> futures, time_limit limit)
        : futures_(std::move(futures)),
          queue_(std::vector<future_base*>(futures_.begin(), futures_.end()), return_when::first_completed),
          deadline_(limit.deadline()) {}

    iterator begin() { return iterator(this); }
    std::default_sentinel_t end() const noexcept { return {}; }

private:
    Future* next() {
        if (queue_.unpopped() == 0) return nullptr;
        if (const auto index = queue_.pop(deadline_)) return futures_[*index];
        throw timeout_error("as_completed: " + std::to_string(queue_.unpopped()) + " (of " +
                            std::to_string(queue_.size()) + ") futures unfinished");
    }

    std::vector<Future*> futures_;
    completion_queue queue_;
    time_limit::clock::time_point deadline_;
};

/// Walks over `futures` in the order in which they are done, those that are done already first, each once:
///
///     for (auto& page : as_completed(pages, 5s)) std::puts(page.result().title.c_str());
///
/// Throws `timeout_error` from the loop when `limit`, counted from this call, passes; the message says how many are
/// unfinished. The futures must outlive the loop. Cancel safety: leaving the loop early leaves the futures as they
/// were.
template <range_of_futures Range>
auto as_completed(Range&& futures, time_limit limit = {}) {
    static_assert(std::is_lvalue_reference_v<Range> || std::ranges::borrowed_range<Range>,
                  "as_completed refers to the futures: give it a named container that outlives the loop");
    using future_type = std::remove_pointer_t<decltype(future_of(*std::ranges::begin(futures)))>;
    std::vector<future_type*> all;
    for (auto&& element : futures) all.push_back(future_of(element));
    return completions<future_type>(std::move(all), limit);
}

}  // namespace tercet
