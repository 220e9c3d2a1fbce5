// The owner and its threads share one block under a mutex: the requests, the threads, and whether it is closed. Closing
// drops the requests, which fails their futures, and joins every thread but those that are inside getaddrinfo: these
// are detached, hold the block, and end when they come back. What they found goes to a future that nobody waits for.

#include "asyncio/resolver.hpp"

#include <netdb.h>

#include <cerrno>
#include <condition_variable>
#include <exception>
#include <list>
#include <mutex>
#include <thread>

namespace tercet::asyncio {

namespace {

constexpr std::size_t max_threads = 4;

class category final : public std::error_category {
    const char* name() const noexcept override { return "resolver"; }
    std::string message(int code) const override { return ::gai_strerror(code); }
};

const category the_category;

std::vector<socket_address> look_up(const std::string& host, std::uint16_t port, bool is_passive) {
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = is_passive ? AI_PASSIVE : 0;
    addrinfo* found = nullptr;
    const std::string service = std::to_string(port);
    const int code = ::getaddrinfo(host.empty() ? nullptr : host.c_str(), service.c_str(), &hints, &found);
    if (code == EAI_SYSTEM) throw std::system_error(errno, std::system_category(), "resolve " + host);
    if (code != 0) throw std::system_error(code, resolver_category(), "resolve " + host);
    const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> owned(found, &::freeaddrinfo);
    std::vector<socket_address> addresses;
    for (const addrinfo* each = found; each; each = each->ai_next)
        if (each->ai_family == AF_INET || each->ai_family == AF_INET6)
            addresses.emplace_back(each->ai_addr, each->ai_addrlen);
    if (addresses.empty()) throw std::system_error(EAI_NONAME, resolver_category(), "resolve " + host);
    return addresses;
}

}  // namespace

const std::error_category& resolver_category() noexcept { return the_category; }

struct resolver::shared {
    struct request {
        std::string host;
        std::uint16_t port;
        bool is_passive;
        promise<std::vector<socket_address>> answer;
    };
    struct worker {
        std::thread thread;
        bool is_looking_up = false;
    };

    std::mutex mutex;
    std::condition_variable has_work;
    std::list<request> requests;
    std::list<worker> workers;
    std::size_t idle = 0;
    bool is_closed = false;

    void work(worker& me) {
        std::unique_lock guard(mutex);
        for (;;) {
            ++idle;
            has_work.wait(guard, [this] { return is_closed || !requests.empty(); });
            --idle;
            if (is_closed) return;
            request next = std::move(requests.front());
            requests.pop_front();
            if (!next.answer.set_running_or_notify_cancel()) continue;
            me.is_looking_up = true;
            guard.unlock();
            std::vector<socket_address> found;
            std::exception_ptr error;
            try {
                found = look_up(next.host, next.port, next.is_passive);
            } catch (...) {
                error = std::current_exception();
            }
            guard.lock();
            me.is_looking_up = false;
            guard.unlock();
            if (error)
                next.answer.set_exception(std::move(error));
            else
                next.answer.set_result(std::move(found));
            guard.lock();
        }
    }
};

resolver::resolver() : shared_(std::make_shared<shared>()) {}

resolver::~resolver() {
    std::list<shared::worker> ending;
    {
        const std::scoped_lock guard(shared_->mutex);
        shared_->is_closed = true;
        shared_->requests.clear();
        std::list<shared::worker>& workers = shared_->workers;
        for (auto each = workers.begin(); each != workers.end();) {
            const auto current = each++;
            if (current->is_looking_up)
                current->thread.detach();
            else
                ending.splice(ending.end(), workers, current);
        }
    }
    shared_->has_work.notify_all();
    for (shared::worker& each : ending) each.thread.join();
}

void resolver::add_worker() {
    std::list<shared::worker> added(1);
    shared::worker& me = added.front();
    me.thread = std::thread([owned = shared_, &me] { owned->work(me); });
    shared_->workers.splice(shared_->workers.end(), added);
}

future<std::vector<socket_address>> resolver::resolve(std::string host, std::uint16_t port, bool is_passive) {
    std::list<shared::request> asked;
    asked.push_back({std::move(host), port, is_passive, {}});
    auto answer = asked.front().answer.get_future();
    const std::scoped_lock guard(shared_->mutex);
    if (shared_->idle <= shared_->requests.size() && shared_->workers.size() < max_threads) {
        try {
            add_worker();
        } catch (...) {
            if (shared_->workers.empty()) throw;
        }
    }
    shared_->requests.splice(shared_->requests.end(), asked);
    shared_->has_work.notify_one();
    return answer;
}

}  // namespace tercet::asyncio
