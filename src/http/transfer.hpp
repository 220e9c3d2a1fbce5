#pragma once

#include <tercet/http/request.hpp>
#include <tercet/http/response.hpp>
#include <tercet/http/session.hpp>
#include <tercet/http/url.hpp>

#include <http/curl.hpp>

#include <array>
#include <chrono>
#include <cstddef>
#include <string>

namespace tercet::http {

/// Throws `std::invalid_argument` for what cannot be sent with every request.
void check_defaults(const session_options& defaults);

/// One request on one handle of libcurl, from the checked request to the answer or the error. Both clients use it; what
/// they do between `prepare` and `finish` is the difference between them. Stays where it is: libcurl points into it.
class transfer {
public:
    transfer() : handle_(make_easy()) {}
    transfer(const transfer&) = delete;
    transfer& operator=(const transfer&) = delete;

    /// Makes the handle ready to perform `wanted`. Throws `std::invalid_argument` when it cannot be sent.
    void prepare(request wanted, const session_options& defaults);

    /// Lets libcurl watch the timeout; a loop has better timers.
    void limit_time();

    /// The answer, after libcurl has ended with `code`; throws what `session::fetch` throws.
    response finish(CURLcode code);

    /// Throws `timeout_error` in the words of `finish`.
    [[noreturn]] void fail_for_time() const;
    /// Throws `http::error` that says `reason`.
    [[noreturn]] void fail(const std::string& reason) const;

    CURL* handle() const noexcept { return handle_.get(); }
    const std::string& authority() const noexcept { return url_.authority; }
    seconds timeout() const noexcept { return request_.timeout; }

    /// Lets go of the handle without closing its connections: for a process that was forked with it.
    void abandon() noexcept { static_cast<void>(handle_.release()); }

private:
    static std::size_t on_header(char* data, std::size_t size, std::size_t count, void* self) noexcept;
    static std::size_t on_body(char* data, std::size_t size, std::size_t count, void* self) noexcept;
    bool add_header_line(std::string_view line);
    bool add_body(std::string_view data);

    template <class Value>
    void set(CURLoption option, Value value);
    void set_method();
    void set_headers(const session_options& defaults);
    response take_answer();
    [[noreturn]] void fail_with(CURLcode code);
    [[noreturn]] void fail_for_close() const;
    std::string final_url() const;

    easy_handle handle_;
    request request_;
    checked_url url_;
    text_list lines_;
    response response_;
    std::chrono::steady_clock::time_point start_;
    std::size_t header_bytes_ = 0;
    bool is_head_complete_ = false;
    std::string refusal_;  ///< why a callback stopped the transfer
    std::array<char, CURL_ERROR_SIZE> error_text_{};
};

}  // namespace tercet::http
