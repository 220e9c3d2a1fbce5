#pragma once

#include <tercet/futures/map_chunk.hpp>
#include <tercet/multiprocessing/remote_call.hpp>
#include <tercet/multiprocessing/remote_exception.hpp>

#include <cstdint>
#include <tuple>
#include <utility>

namespace tercet::multiprocessing {

/// An outcome that travels.
template <class T>
struct remote_outcome : item_outcome<T> {
    template <class Archive>
    void serialize(Archive& archive) {
        archive(this->value);
        if (this->value) return;
        if constexpr (Archive::is_saving)
            encode_exception(archive, this->error);
        else
            this->error = decode_exception(archive);
    }
};

/// The outcomes of a chunk on their way back.
template <class T>
struct remote_chunk_outcome : chunk_outcome<remote_outcome<T>> {
    template <class Archive>
    void serialize(Archive& archive) {
        archive(this->items, this->took);
    }
};

/// The call that a pool of processes makes for a chunk of a map, in one message: `fn` for each item, one after the
/// other. When it is asked to stop, what it has not begun does not begin.
template <class Fn, class... Args>
struct remote_chunk {
    using result_type = std::decay_t<call_result_t<Fn, Args...>>;

    [[no_unique_address]] Fn fn;

    remote_chunk_outcome<result_type> operator()(std::stop_token stop, chunk_items<Args...> items) const {
        using outcome_type = remote_outcome<result_type>;
        return {call_items<outcome_type>(items, [&](outcome_type& outcome, std::tuple<Args...>& item) {
            if (stop.stop_requested())
                outcome.error = std::make_exception_ptr(cancelled_error());
            else if constexpr (takes_stop_token<Fn, Args...>)
                call_item(outcome, fn, item, stop);
            else
                call_item(outcome, fn, item);
        })};
    }
};

template <class Fn, class... Args>
inline constexpr bool detail::is_function_holder<remote_chunk<Fn, Args...>> = true;

}  // namespace tercet::multiprocessing
