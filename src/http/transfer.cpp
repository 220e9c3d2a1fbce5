// What libcurl is asked for, and why where it is not plain:
//
//   NOSIGNAL     no SIGALRM: threads and loops are about.
//   QUICK_EXIT   a transfer that ends while its name is being resolved leaves the resolver's thread to itself; without
//                it libcurl would wait for getaddrinfo, and a cancelled fetch would block the loop.
//   PROTOCOLS    http and https, in redirects too: a redirect to file:// is an attack.
//   CUSTOMREQUEST  a method that libcurl has no option for. It would keep the method in every redirect, and the body in
//                none, unless it is asked to (POSTREDIR); but 303 asks for GET, so the method goes when that arrives.
//   Content-Type libcurl adds one for forms to every body; we send what the caller gave, or none.
//
// The callbacks run inside C code, so nothing is thrown through them: they note why they refuse and return zero, which
// ends the transfer with CURLE_WRITE_ERROR.

#include <tercet/futures/errors.hpp>
#include <tercet/http/errors.hpp>

#include <fmt/format.h>
#include <http/transfer.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <new>
#include <stdexcept>
#include <system_error>
#include <utility>

namespace tercet::http {

namespace {

constexpr std::size_t max_header_bytes = 256U << 10U;
constexpr long max_milliseconds = std::numeric_limits<int>::max();

long in_milliseconds(seconds duration) {
    const double count = std::ceil(duration.count() * 1000);
    // Zero would be no limit at all.
    return count >= static_cast<double>(max_milliseconds) ? max_milliseconds : std::max(1L, static_cast<long>(count));
}

void check_timeout(seconds timeout) {
    if (std::isnan(timeout.count())) throw std::invalid_argument("http timeout: the duration is not a number");
    if (timeout.count() < 0)
        throw std::invalid_argument("http timeout: the duration is negative; give infinity for none");
}

bool is_see_other(std::string_view status_line) noexcept {
    const auto code = status_line.find(' ');
    return code != status_line.npos && status_line.substr(code + 1).starts_with("303");
}

/// The words after the code in a status line such as `HTTP/1.1 404 Not Found`.
std::string reason_of(std::string_view status_line) {
    const auto code = status_line.find(' ');
    const auto reason = code == status_line.npos ? code : status_line.find(' ', code + 1);
    if (reason == status_line.npos) return {};
    std::string_view text = status_line.substr(reason + 1);
    while (!text.empty() && (text.back() == '\r' || text.back() == '\n' || text.back() == ' ')) text.remove_suffix(1);
    return std::string(text);
}

template <class Value>
Value info(CURL* handle, CURLINFO what, Value value) {
    curl_easy_getinfo(handle, what, &value);
    return value;
}

}  // namespace

void check_defaults(const session_options& defaults) {
    for (const header& field : defaults.headers) check_header(field);
    check_header({.name = "User-Agent", .value = defaults.user_agent});
}

template <class Value>
void transfer::set(CURLoption option, Value value) {
    const CURLcode code = curl_easy_setopt(handle(), option, value);
    if (code == CURLE_OUT_OF_MEMORY) throw std::bad_alloc();
    if (code != CURLE_OK)
        throw std::logic_error(
            fmt::format("libcurl option {}: {}", static_cast<int>(option), curl_easy_strerror(code)));
}

void transfer::prepare(request wanted, const session_options& defaults) {
    check_timeout(wanted.timeout);
    if (!is_token(wanted.method))
        throw std::invalid_argument(fmt::format("request method '{}': write a word such as GET", wanted.method));
    url_ = check_url(wanted.url);
    request_ = std::move(wanted);
    response_ = {};
    header_bytes_ = 0;
    is_head_complete_ = false;
    refusal_.clear();
    error_text_ = {};
    start_ = std::chrono::steady_clock::now();

    curl_easy_reset(handle());
    set(CURLOPT_ERRORBUFFER, error_text_.data());
    set(CURLOPT_NOSIGNAL, 1L);
    set(CURLOPT_QUICK_EXIT, 1L);
    set(CURLOPT_PROTOCOLS_STR, "http,https");
    set(CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
    set(CURLOPT_URL, url_.text.c_str());
    set(CURLOPT_FOLLOWLOCATION, request_.max_redirects > 0 ? 1L : 0L);
    set(CURLOPT_MAXREDIRS, static_cast<long>(request_.max_redirects));
    set(CURLOPT_ACCEPT_ENCODING, "");
    set(CURLOPT_USERAGENT, defaults.user_agent.c_str());
    set(CURLOPT_CONNECTTIMEOUT_MS, in_milliseconds(request_.timeout));
    set(CURLOPT_HEADERFUNCTION, &transfer::on_header);
    set(CURLOPT_HEADERDATA, static_cast<void*>(this));
    set(CURLOPT_WRITEFUNCTION, &transfer::on_body);
    set(CURLOPT_WRITEDATA, static_cast<void*>(this));
    set_method();
    set_headers(defaults);
}

void transfer::limit_time() { set(CURLOPT_TIMEOUT_MS, in_milliseconds(request_.timeout)); }

void transfer::set_method() {
    if (request_.method == "HEAD") {
        set(CURLOPT_NOBODY, 1L);
    } else if (request_.method == "POST" || !request_.body.empty()) {
        // A POST is followed with GET when a redirect asks for it (301, 302, 303); others keep method and body but for
        // 303.
        set(CURLOPT_POST, 1L);
        set(CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request_.body.size()));
        set(CURLOPT_POSTFIELDS, request_.body.data());
        if (request_.method != "POST") {
            set(CURLOPT_CUSTOMREQUEST, request_.method.c_str());
            set(CURLOPT_POSTREDIR, static_cast<long>(CURL_REDIR_POST_301 | CURL_REDIR_POST_302));
        }
    } else {
        set(CURLOPT_HTTPGET, 1L);
        if (request_.method != "GET") set(CURLOPT_CUSTOMREQUEST, request_.method.c_str());
    }
}

void transfer::set_headers(const session_options& defaults) {
    lines_.reset();
    const auto append = [this](const std::string& line) {
        curl_slist* const extended = curl_slist_append(lines_.get(), line.c_str());
        if (!extended) throw std::bad_alloc();
        static_cast<void>(lines_.release());
        lines_.reset(extended);
    };
    const auto add = [&append](const header& field) {
        check_header(field);
        if (same_name(field.name, "Content-Length") || same_name(field.name, "Transfer-Encoding"))
            throw std::invalid_argument(
                fmt::format("header {}: it follows from the body; leave it to the client", field.name));
        // "Name:" alone would take the field away in libcurl's notation.
        append(field.value.empty() ? field.name + ";" : fmt::format("{}: {}", field.name, field.value));
    };
    for (const header& field : defaults.headers)
        if (!find_header(request_.headers, field.name)) add(field);
    for (const header& field : request_.headers) add(field);
    if (!find_header(request_.headers, "Content-Type") && !find_header(defaults.headers, "Content-Type"))
        append("Content-Type:");
    set(CURLOPT_HTTPHEADER, lines_.get());
}

std::size_t transfer::on_header(char* data, std::size_t size, std::size_t count, void* self) noexcept {
    return static_cast<transfer*>(self)->add_header_line({data, size * count}) ? size * count : 0;
}

std::size_t transfer::on_body(char* data, std::size_t size, std::size_t count, void* self) noexcept {
    return static_cast<transfer*>(self)->add_body({data, size * count}) ? size * count : 0;
}

bool transfer::add_header_line(std::string_view line) try {
    header_bytes_ += line.size();
    if (header_bytes_ > max_header_bytes) {
        refusal_ = fmt::format("the headers of the answer are longer than {} bytes", max_header_bytes);
        return false;
    }
    if (line.starts_with("HTTP/")) {  // of a redirect, a 100 Continue, or the answer itself
        if (is_see_other(line) && request_.method != "HEAD")
            curl_easy_setopt(handle(), CURLOPT_CUSTOMREQUEST, static_cast<const char*>(nullptr));
        response_.reason = reason_of(line);
        is_head_complete_ = false;
    } else if (line == "\r\n" || line == "\n") {
        is_head_complete_ = true;
    }
    return true;
} catch (const std::exception&) {
    refusal_ = "no memory for the answer";
    return false;
}

bool transfer::add_body(std::string_view data) try {
    if (data.size() > request_.max_body_bytes - response_.body.size()) {
        refusal_ = fmt::format("the answer is longer than the limit of {} bytes", request_.max_body_bytes);
        return false;
    }
    response_.body += data;
    return true;
} catch (const std::exception&) {
    refusal_ = "no memory for the answer";
    return false;
}

response transfer::finish(CURLcode code) {
    if (code != CURLE_OK) fail_with(code);
    if (!is_head_complete_) fail("the server closed the connection in the middle of the headers");
    return take_answer();
}

response transfer::take_answer() {
    response_.status = static_cast<int>(info(handle(), CURLINFO_RESPONSE_CODE, 0L));
    response_.url = final_url();
    response_.elapsed = std::chrono::steady_clock::now() - start_;
    constexpr int last_request = -1;
    curl_header* field = nullptr;
    while ((field = curl_easy_nextheader(handle(), CURLH_HEADER, last_request, field)))
        response_.headers.push_back({.name = field->name, .value = field->value});
    return std::move(response_);
}

std::string transfer::final_url() const {
    const char* const url = info<const char*>(handle(), CURLINFO_EFFECTIVE_URL, nullptr);
    return url ? url : url_.text;
}

void transfer::fail(const std::string& reason) const {
    throw error(fmt::format("{} {}: {}", request_.method, url_.shown, reason));
}

void transfer::fail_for_time() const {
    throw timeout_error(fmt::format("{} {}: no complete response within {:g} s", request_.method, url_.shown,
                                    request_.timeout.count()));
}

void transfer::fail_for_close() const {
    const auto received = info<curl_off_t>(handle(), CURLINFO_SIZE_DOWNLOAD_T, 0);
    const auto announced = info<curl_off_t>(handle(), CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, -1);
    if (header_bytes_ == 0) fail("the server closed the connection before answering");
    if (!is_head_complete_) fail("the server closed the connection in the middle of the headers");
    if (announced >= 0) fail(fmt::format("the server closed the connection after {} of {} bytes", received, announced));
    fail(fmt::format("the server closed the connection after {} bytes, before the end of the answer", received));
}

void transfer::fail_with(CURLcode code) {
    const std::string text = error_text_[0] ? error_text_.data() : curl_easy_strerror(code);
    switch (code) {
        case CURLE_COULDNT_RESOLVE_HOST:
            // libcurl keeps the resolver's own reason to itself.
            throw error(fmt::format("resolve {}: Name or service not known", check_url(final_url()).host));
        case CURLE_COULDNT_RESOLVE_PROXY:
            throw error(fmt::format("resolve the proxy for {}: Name or service not known", url_.shown));
        case CURLE_COULDNT_CONNECT:
            if (const long number = info(handle(), CURLINFO_OS_ERRNO, 0L); number != 0)
                throw std::system_error(static_cast<int>(number), std::generic_category(),
                                        "connect " + check_url(final_url()).authority);
            fail(text);
        case CURLE_OPERATION_TIMEDOUT:
            fail_for_time();
        case CURLE_GOT_NOTHING:
        case CURLE_PARTIAL_FILE:
        case CURLE_RECV_ERROR:
        case CURLE_SEND_ERROR:
        case CURLE_HTTP2_STREAM:
            fail_for_close();
        case CURLE_WRITE_ERROR:
            fail(refusal_.empty() ? text : refusal_);
        case CURLE_TOO_MANY_REDIRECTS:
            fail(fmt::format("more than {} redirects", request_.max_redirects));
        case CURLE_UNSUPPORTED_PROTOCOL:
            fail(fmt::format("{} ({})",
                             is_head_complete_ ? "the server redirected to something that is neither http nor https"
                                               : "the answer is not HTTP",
                             text));
        case CURLE_SSL_CONNECT_ERROR:
        case CURLE_PEER_FAILED_VERIFICATION:
        case CURLE_SSL_CERTPROBLEM:
        case CURLE_SSL_CIPHER:
        case CURLE_SSL_CACERT_BADFILE:
        case CURLE_SSL_ISSUER_ERROR:
        case CURLE_SSL_INVALIDCERTSTATUS:
            fail("TLS: " + text);
        default:
            fail(text);
    }
}

}  // namespace tercet::http
