// communicate moves both outputs and the input at the same time, as three tasks of a gather: a child may fill one pipe
// while we would wait at another.

#include <tercet/asyncio/event_loop.hpp>
#include <tercet/asyncio/gather.hpp>
#include <tercet/asyncio/subprocess.hpp>
#include <tercet/futures/errors.hpp>

#include <algorithm>
#include <csignal>
#include <stdexcept>
#include <system_error>

#include "asyncio/subprocess_state.hpp"

namespace tercet::asyncio {

namespace {

constexpr std::size_t read_step = std::size_t{64} << 10;

coro<> write_all(stream_writer& writer, std::string data) {
    try {
        for (std::size_t written = 0; written < data.size(); written += read_step) {
            writer.write(std::string_view(data).substr(written, read_step));
            co_await writer.drain();
        }
        writer.close();
        co_await writer.wait_closed();
    } catch (const std::system_error& error) {
        if (error.code() != std::errc::broken_pipe && error.code() != std::errc::connection_reset) throw;
        writer.abort();
    }
}

coro<std::string> read_bounded(stream_reader* reader, std::size_t limit) {
    std::string all;
    while (reader) {
        const std::string more = co_await reader->read(read_step);
        if (more.empty()) break;
        if (more.size() > limit - all.size()) throw limit_overrun_error(limit, all.size());
        all += more;
    }
    co_return all;
}

coro<subprocess_output> communicate_with(std::shared_ptr<subprocess_state> state, stream_writer* stdin_,
                                         stream_reader* stdout_, stream_reader* stderr_, std::string input,
                                         std::size_t limit) {
    if (!stdin_ && !input.empty())
        throw std::invalid_argument("communicate with " + state->name() + ": its standard input is no pipe");
    subprocess_output output;
    auto write = [&]() -> coro<> {
        if (stdin_) co_await write_all(*stdin_, std::move(input));
    };
    auto read_output = [&]() -> coro<> { output.stdout_ = co_await read_bounded(stdout_, limit); };
    auto read_errors = [&]() -> coro<> { output.stderr_ = co_await read_bounded(stderr_, limit); };
    co_await gather(write(), read_output(), read_errors());
    subprocess::wait_awaiter end(state);
    co_await end;
    co_return output;
}

template <class Stream>
Stream& require(std::optional<Stream>& stream, const subprocess_state& state, const char* which) {
    if (!stream) throw invalid_state_error(state.name() + ": its standard " + which + " is no pipe");
    return *stream;
}

template <class Stream>
Stream* pointer_to(std::optional<Stream>& stream) noexcept {
    return stream ? &*stream : nullptr;
}

const std::shared_ptr<subprocess_state>& check(const std::shared_ptr<subprocess_state>& state) {
    if (!state) throw invalid_state_error("subprocess: it was moved from");
    return state;
}

}  // namespace

subprocess::subprocess(std::shared_ptr<subprocess_state> state, std::optional<stream_writer> stdin_stream,
                       std::optional<stream_reader> stdout_stream, std::optional<stream_reader> stderr_stream) noexcept
    : state_(std::move(state)),
      stdin_(std::move(stdin_stream)),
      stdout_(std::move(stdout_stream)),
      stderr_(std::move(stderr_stream)) {}

subprocess& subprocess::operator=(subprocess&& other) noexcept {
    subprocess old(std::move(*this));
    state_ = std::move(other.state_);
    stdin_ = std::move(other.stdin_);
    stdout_ = std::move(other.stdout_);
    stderr_ = std::move(other.stderr_);
    return *this;
}

subprocess::~subprocess() {
    if (state_) {
        subprocess_state& dropped = *state_;
        dropped.drop(std::move(state_));
    }
}

pid_t subprocess::pid() const { return check(state_)->pid(); }

std::optional<int> subprocess::returncode() const { return check(state_)->returncode(); }

void subprocess::send_signal(int number) const { check(state_)->send_signal(number); }
void subprocess::terminate() const { send_signal(SIGTERM); }
void subprocess::kill() const { send_signal(SIGKILL); }

stream_writer& subprocess::stdin_writer() { return require(stdin_, *check(state_), "input"); }
stream_reader& subprocess::stdout_reader() { return require(stdout_, *check(state_), "output"); }
stream_reader& subprocess::stderr_reader() { return require(stderr_, *check(state_), "error"); }

coro<subprocess_output> subprocess::communicate(std::string input, communicate_options options) {
    return communicate_with(check(state_), pointer_to(stdin_), pointer_to(stdout_), pointer_to(stderr_),
                            std::move(input), options.max_output);
}

bool subprocess::wait_awaiter::begin() noexcept {
    if (!state_ || state_->has_ended()) return true;
    wait_in(state_->waiters());
    return false;
}

int subprocess::wait_awaiter::await_resume() const {
    throw_if_cancelled();
    check(state_);
    if (!state_->returncode())
        throw std::system_error(state_->wait_error(), std::system_category(), "wait for " + state_->name());
    return *state_->returncode();
}

}  // namespace tercet::asyncio
