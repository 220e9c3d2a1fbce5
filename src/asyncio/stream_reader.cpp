#include <tercet/asyncio/stream_reader.hpp>
#include <tercet/futures/errors.hpp>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <new>
#include <stdexcept>

namespace tercet::asyncio {

namespace {

std::string take(receive_buffer& buffer, std::size_t count) {
    std::string taken(buffer.view().substr(0, count));
    buffer.consume(count);
    return taken;
}

struct place {
    std::size_t begin = std::string_view::npos;
    std::size_t end = std::string_view::npos;
};

/// The separator in `text` that ends first, of those that begin at `from` or later.
place find_first(std::string_view text, std::span<const std::string> separators, std::size_t from) noexcept {
    place first;
    for (const std::string& each : separators) {
        const std::size_t begin = text.find(each, from);
        if (begin != std::string_view::npos && begin + each.size() < first.end) first = {begin, begin + each.size()};
    }
    return first;
}

template <class Separators>
coro<std::string> read_up_to(stream_pointer stream, Separators separators) {
    std::size_t longest = 0;
    bool is_any_empty = separators.empty();
    for (const std::string& each : separators) {
        longest = std::max(longest, each.size());
        is_any_empty = is_any_empty || each.empty();
    }
    if (is_any_empty) throw std::invalid_argument("read_until: the separator is empty");
    const stream_socket::reading_guard guard(*stream);
    receive_buffer& buffer = stream->received();
    std::size_t searched = 0;  // no separator begins before here
    for (;;) {
        const place found = find_first(buffer.view(), separators, searched);
        if (found.begin != std::string_view::npos) {
            if (found.begin > stream->limit()) throw limit_overrun_error(stream->limit(), found.begin);
            co_return take(buffer, found.end);
        }
        if (buffer.size() >= longest) searched = buffer.size() - longest + 1;
        if (searched > stream->limit()) throw limit_overrun_error(stream->limit(), searched);
        if (stream->has_eof()) throw incomplete_read_error(take(buffer, buffer.size()), 0);
        fill_operation fill(*stream);
        co_await fill;
    }
}

}  // namespace

bool fill_operation::begin() noexcept {
    if (stream_.has_failed_security()) {
        fail(EPROTO);
        return true;
    }
    if (io_operation::begin()) return true;
    stream_.received().trim();
    return false;
}

bool fill_operation::attempt() noexcept {
    if (stream_.security()) {
        if (stream_.fill_secured() >= 0) return true;
        if (errno == EAGAIN) return false;
        fail(errno);
        return true;
    }
    std::span<char> room;
    try {
        room = stream_.received().prepare();
    } catch (const std::bad_alloc&) {
        fail(ENOMEM);
        return true;
    }
    const ssize_t count = stream_.receive(room);
    if (count >= 0) {
        stream_.received().commit(static_cast<std::size_t>(count));
        return true;
    }
    if (errno != EAGAIN) {
        fail(errno);
        return true;
    }
    stream_.received().trim();
    return false;
}

void fill_operation::await_resume() const {
    throw_if_cancelled();
    if (was_busy()) stream_.throw_busy();
    if (error() != 0) stream_.throw_error("read", error());
}

bool read_some_operation::await_ready() noexcept {
    is_second_reader_ = stream_->is_being_read();
    if (is_second_reader_) return true;
    if (stream_->received().empty()) return stream_->has_eof();
    take_received();
    return true;
}

void read_some_operation::take_received() noexcept {
    receive_buffer& buffered = stream_->received();
    count_ = std::min(buffered.size(), into_.size());
    if (count_ == 0) return;
    std::memcpy(into_.data(), buffered.view().data(), count_);
    buffered.consume(count_);
}

bool read_some_operation::begin() noexcept {
    if (!stream_->has_failed_security()) return io_operation::begin();
    fail(EPROTO);
    return true;
}

bool read_some_operation::attempt() noexcept {
    const ssize_t count = stream_->security() ? stream_->fill_secured() : stream_->receive(into_);
    if (count >= 0 && stream_->security())
        take_received();
    else if (count >= 0)
        count_ = static_cast<std::size_t>(count);
    else if (errno == EAGAIN)
        return false;
    else
        fail(errno);
    return true;
}

std::size_t read_some_operation::await_resume() const {
    if (is_second_reader_ || was_busy()) stream_->throw_busy();
    throw_if_cancelled();
    if (error() != 0) stream_->throw_error("read", error());
    return count_;
}

bool readable_operation::await_ready() noexcept {
    is_second_reader_ = stream_->is_being_read();
    return is_second_reader_ || !stream_->received().empty() || stream_->has_eof() || stream_->has_failed_security();
}

void readable_operation::await_resume() const {
    if (is_second_reader_ || was_busy()) stream_->throw_busy();
    throw_if_cancelled();
    if (error() != 0) stream_->throw_error("read", error());
}

std::optional<std::size_t> stream_reader::try_read_some(std::span<char> into) const {
    stream_socket& from = *stream_;
    const stream_socket::reading_guard guard(from);
    receive_buffer& buffered = from.received();
    if (buffered.empty() && from.has_eof()) return 0;
    if (buffered.empty()) {
        if (!from.is_readable()) from.throw_error("read", ECONNABORTED);
        const ssize_t count = from.security() ? from.fill_secured() : from.receive(into);
        if (count < 0 && errno == EAGAIN) return std::nullopt;
        if (count < 0) from.throw_error("read", errno);
        if (!from.security()) return static_cast<std::size_t>(count);
    }
    const std::size_t count = std::min(buffered.size(), into.size());
    if (count == 0) return from.has_eof() ? std::optional<std::size_t>(0) : std::nullopt;
    std::memcpy(into.data(), buffered.view().data(), count);
    buffered.consume(count);
    return count;
}

coro<std::string> stream_reader::read(stream_pointer stream, std::size_t count) {
    const stream_socket::reading_guard guard(*stream);
    receive_buffer& buffer = stream->received();
    if (count > 0 && buffer.empty() && !stream->has_eof()) {
        fill_operation fill(*stream);
        co_await fill;
    }
    co_return take(buffer, std::min(count, buffer.size()));
}

coro<std::string> stream_reader::read_to_end(stream_pointer stream) {
    const stream_socket::reading_guard guard(*stream);
    while (!stream->has_eof()) {
        fill_operation fill(*stream);
        co_await fill;
    }
    co_return take(stream->received(), stream->received().size());
}

coro<std::string> stream_reader::read_exactly(stream_pointer stream, std::size_t count) {
    const stream_socket::reading_guard guard(*stream);
    receive_buffer& buffer = stream->received();
    while (buffer.size() < count) {
        if (stream->has_eof()) throw incomplete_read_error(take(buffer, buffer.size()), count);
        fill_operation fill(*stream);
        co_await fill;
    }
    co_return take(buffer, count);
}

coro<std::string> stream_reader::read_until(stream_pointer stream, std::string separator) {
    return read_up_to(std::move(stream), std::array<std::string, 1>{std::move(separator)});
}

coro<std::string> stream_reader::read_until_any(stream_pointer stream, std::vector<std::string> separators) {
    return read_up_to(std::move(stream), std::move(separators));
}

coro<std::string> stream_reader::read_line(stream_pointer stream) {
    try {
        co_return co_await read_until(std::move(stream), "\n");
    } catch (const incomplete_read_error& ended) {
        co_return ended.partial();
    }
}

}  // namespace tercet::asyncio
