// A thread keeps the lines that it has opened, so they end with it, and the manager sees that. Behind them is a key of
// pthreads and no thread_local with a destructor: static objects may call when those of the first thread are gone.
//
// In the child of a fork, lines of the parent's threads would stay open, and the manager would not see the parent die.
// So each line's descriptor is noted, and replaced there: by /dev/null, for its number may not be reused before the
// object that holds it is gone. A line that was opened while the process forked is given up, and another one opened.

#include <tercet/futures/fork_generation.hpp>
#include <tercet/multiprocessing/client.hpp>
#include <tercet/multiprocessing/errors.hpp>
#include <tercet/multiprocessing/manager_link.hpp>
#include <tercet/multiprocessing/remote_exception.hpp>

#include <fcntl.h>
#include <fmt/format.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <exception>
#include <memory>
#include <mutex>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include "manager_line.hpp"

namespace tercet::multiprocessing {

namespace {

using namespace std::chrono_literals;

constexpr auto handshake_patience = 30s;
constexpr auto probe_patience = 5s;
constexpr int most_probes = 20;
constexpr auto between_probes = 10ms;

/// The descriptors of all lines of this process.
class open_lines {
public:
    static open_lines& instance() {
        static auto* const all = new open_lines;  // never destroyed: threads may end in any order
        return *all;
    }
    static void prepare_for_forks() {
        ::pthread_atfork(
            [] {
                instance().mutex_.lock();
                ++instance().forks_;
            },
            [] { instance().mutex_.unlock(); },
            [] {
                instance().replace_all();
                instance().mutex_.unlock();
            });
    }

    /// Its value belongs to the thread, and goes with it. Throws `std::system_error`.
    pthread_key_t key() const {
        if (key_error_ != 0) throw std::system_error(key_error_, std::system_category(), "pthread_key_create");
        return key_;
    }
    /// How often this process has forked.
    std::uint64_t forks() {
        const std::lock_guard guard(mutex_);
        return forks_;
    }
    /// False, and nothing noted, when this process has forked since it had done so `forks` times.
    bool add(int fd, std::uint64_t forks) {
        const std::lock_guard guard(mutex_);
        if (forks != forks_) return false;
        fds_.push_back(fd);
        return true;
    }
    void close(connection& line) noexcept {
        const std::lock_guard guard(mutex_);
        if (line.closed()) return;
        std::erase(fds_, line.fileno());
        line.close();
    }

private:
    open_lines() noexcept;

    void replace_all() noexcept {
        const int nothing = ::open("/dev/null", O_RDWR | O_CLOEXEC);
        for (const int each : fds_)
            if (nothing >= 0) ::dup3(nothing, each, O_CLOEXEC);
        ::close(nothing);
        fds_.clear();
    }

    std::mutex mutex_;
    std::vector<int> fds_;
    std::uint64_t forks_ = 0;
    pthread_key_t key_{};
    int key_error_;
};

[[gnu::constructor(101)]] void prepare_for_forks() { open_lines::prepare_for_forks(); }

/// A line of this thread to a manager.
class thread_line {
public:
    explicit thread_line(const manager_link& to) : address_(to.address) {
        for (;;) {
            const std::uint64_t forks = open_lines::instance().forks();
            line_ = client(to.address, {.authkey = to.authkey, .timeout = handshake_patience});
            if (open_lines::instance().add(line_.fileno(), forks)) return;
            ::shutdown(line_.fileno(), SHUT_RDWR);  // a copy of this process may have it
        }
    }
    thread_line(thread_line&&) noexcept = default;
    thread_line& operator=(thread_line&& other) noexcept {
        open_lines::instance().close(line_);
        address_ = std::move(other.address_);
        generation_ = other.generation_;
        line_ = std::move(other.line_);
        return *this;
    }
    ~thread_line() { open_lines::instance().close(line_); }

    const std::string& address() const noexcept { return address_; }
    connection& line() noexcept { return line_; }
    /// Between calls a manager says nothing; so what can be received is the end.
    bool is_over() const { return generation_ != fork_generation() || line_.poll(); }

private:
    std::string address_;
    std::uint64_t generation_ = fork_generation();
    connection line_;
};

constinit thread_local std::vector<thread_line>* lines = nullptr;

open_lines::open_lines() noexcept
    : key_error_(::pthread_key_create(&key_, [](void*) {
          delete lines;
          lines = nullptr;
      })) {}

/// The lines of this thread.
std::vector<thread_line>& lines_of_thread() {
    if (lines) return *lines;
    auto fresh = std::make_unique<std::vector<thread_line>>();
    if (const int error = ::pthread_setspecific(open_lines::instance().key(), fresh.get()); error != 0)
        throw std::system_error(error, std::system_category(), "pthread_setspecific");
    lines = fresh.release();
    return *lines;
}

/// There is nobody behind the address.
bool is_refusal(const std::system_error& e) noexcept {
    return e.code().value() == ECONNREFUSED || e.code().value() == ENOENT;
}
/// Somebody has taken the line and dropped it.
bool is_dropping(const std::system_error& e) noexcept {
    return e.code().value() == ECONNRESET || e.code().value() == EPIPE;
}

[[noreturn]] void throw_died(const manager_link& link) {
    throw manager_died(fmt::format("manager (pid {}): it has ended, and its objects are gone", link.pid));
}

/// The line has ended: why? A process that ends closes its sockets one after the other, so it is asked again.
[[noreturn]] void throw_lost(const manager_link& link) {
    std::string unknown;
    bool is_there = false;
    for (int attempt = 0; attempt < most_probes; ++attempt) {
        if (attempt > 0) std::this_thread::sleep_for(between_probes);
        try {
            client(link.address, {.authkey = link.authkey, .timeout = probe_patience});
            is_there = true;
            break;
        } catch (const std::system_error& e) {
            if (is_refusal(e)) throw_died(link);
            unknown = e.what();
            if (!is_dropping(e)) break;
        } catch (const eof_error& e) {
            unknown = e.what();
        } catch (const std::exception& e) {
            unknown = e.what();
            break;
        }
    }
    if (is_there) throw eof_error(fmt::format("manager (pid {}): it has dropped the line of this thread", link.pid));
    throw eof_error(
        fmt::format("manager (pid {}): the line of this thread has ended, and whether it lives cannot be found out: {}",
                    link.pid, unknown));
}

thread_line open_line(const manager_link& link) try { return thread_line(link); } catch (const eof_error&) {
    throw_lost(link);
} catch (const std::system_error& e) {
    if (is_refusal(e)) throw_died(link);
    if (is_dropping(e)) throw_lost(link);
    throw;
}

manager_line::message exchange_over(connection& line, encoder& request, const manager_link& link) try {
    manager_line::send(line, manager_line::call_type, request);
    return manager_line::receive(line);
} catch (const eof_error&) {
    throw_lost(link);
} catch (const std::system_error& e) {
    if (is_dropping(e)) throw_lost(link);
    throw;
}

/// Where the line of this thread is; it is opened when there is none.
std::vector<thread_line>::iterator find_line(std::vector<thread_line>& all, const manager_link& link) {
    const auto found = std::ranges::find(all, link.address, &thread_line::address);
    if (found != all.end() && !found->is_over()) return found;
    std::erase_if(all, [](const thread_line& each) { return each.is_over(); });
    all.push_back(open_line(link));
    return all.end() - 1;
}

}  // namespace

manager_answer manager_link::exchange(encoder& request) const {
    auto& all = lines_of_thread();
    const auto place = find_line(all, *this);
    manager_line::message answer;
    try {
        answer = exchange_over(place->line(), request, *this);
    } catch (...) {
        all.erase(place);
        throw;
    }
    if (answer.type != manager_line::answer_type) throw_bad_value("the kind of an answer", answer.type);
    return {std::move(answer.bytes), std::move(answer.descriptors)};
}

void manager_answer::read_status(decoder& in) {
    const auto status = in.read_raw<std::uint8_t>();
    if (status == static_cast<std::uint8_t>(manager_status::error)) std::rethrow_exception(decode_exception(in));
    if (status != static_cast<std::uint8_t>(manager_status::result)) throw_bad_value("the status of an answer", status);
}

}  // namespace tercet::multiprocessing
