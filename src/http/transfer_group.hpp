#pragma once

#include <tercet/asyncio/event.hpp>
#include <tercet/asyncio/event_loop.hpp>
#include <tercet/asyncio/handle.hpp>
#include <tercet/http/client_session.hpp>

#include <http/transfer.hpp>

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

namespace tercet::http {

/// The fetches of one session: those on the wire, on one multi handle of libcurl that the loop drives, and those that
/// wait because of the limits. The states stand in transfer_group.cpp.
class transfer_group {
public:
    class fetch;
    /// Fetches in the order in which they came.
    using line = std::map<std::uint64_t, fetch*>;

    /// Those to one host and port.
    struct host {
        std::size_t admitted = 0;  ///< that run, or wait for nothing but the limit of all
        line waiting = {};
    };

    /// One fetch. Its owner is the coroutine that waits for it.
    class fetch {
    public:
        /// Sends `wanted`, or queues it. Throws what `transfer::prepare` throws.
        fetch(transfer_group& group, request wanted);
        fetch(const fetch&) = delete;
        fetch& operator=(const fetch&) = delete;
        /// Takes it off the wire, or out of the queue.
        ~fetch();

        /// Set when the fetch has ended, one way or the other.
        asyncio::event& ended() noexcept { return ended_; }
        /// The answer, or throws. Once, after `ended`.
        response take();

    private:
        friend class transfer_group;
        enum class state : unsigned char { queued, running, complete, timed_out, abandoned };

        void move_to(line& to) noexcept;

        transfer_group& group_;
        std::unique_ptr<transfer> transfer_;
        state state_ = state::queued;
        CURLcode code_ = CURLE_OK;
        asyncio::handle timer_;
        asyncio::event ended_;
        host* host_ = nullptr;  ///< when there is a limit for each
        std::uint64_t number_ = 0;
        line* line_ = nullptr;  ///< the one of the group in which it stands
        line::node_type node_;  ///< its place there, while it stands in none
    };

    explicit transfer_group(client_session_options options);
    transfer_group(const transfer_group&) = delete;
    transfer_group& operator=(const transfer_group&) = delete;

    /// The session is gone: what is under way fails, and so does what comes later.
    void close() noexcept;

private:
    static int on_socket(CURL* handle, curl_socket_t descriptor, int what, void* self, void* unused) noexcept;
    static int on_timer(CURLM* handle, long milliseconds, void* self) noexcept;

    std::unique_ptr<transfer> take_transfer();
    void keep_transfer(std::unique_ptr<transfer> used) noexcept;

    void add(fetch& added);
    void admit_next(host& where) noexcept;
    void start(fetch& queued) noexcept;
    void start_queued() noexcept;
    void end(fetch& ended, fetch::state how, CURLcode code = CURLE_OK) noexcept;
    void end_all(fetch::state how, CURLcode code = CURLE_OK) noexcept;

    void bind_to_running_loop();
    void unbind_when_idle() noexcept;
    void watch(int descriptor, int what);
    void set_timer(long milliseconds);
    void act(curl_socket_t descriptor, int events) noexcept;

    session_options defaults_;
    std::size_t limit_;
    std::size_t limit_per_host_;
    asyncio::event_loop* loop_ = nullptr;  // as long as a fetch is under way
    asyncio::handle timer_;
    std::unordered_map<int, int> watched_;
    std::uint64_t next_number_ = 0;
    line queued_;  // as far as their hosts go they may start
    line running_;
    std::unordered_map<std::string, host> hosts_;
    std::size_t under_way_ = 0;  // in any line
    std::vector<std::unique_ptr<transfer>> spare_;
    bool is_closed_ = false;
    multi_handle multi_;  // last: its end calls back
};

}  // namespace tercet::http
