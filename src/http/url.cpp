#include <tercet/http/url.hpp>

#include <fmt/format.h>
#include <http/curl.hpp>

#include <algorithm>
#include <new>
#include <stdexcept>
#include <string_view>

namespace tercet::http {

namespace {

constexpr std::size_t longest_shown = 200;

/// For a text that is no URL: what stands before the last '@' might be a password, and is left out.
std::string redacted(std::string_view url) {
    const auto at = url.rfind('@');
    std::string shown(at == url.npos ? url : url.substr(at + 1));
    if (shown.size() > longest_shown) shown = shown.substr(0, longest_shown) + "...";
    std::ranges::replace_if(
        shown, [](unsigned char c) { return c < ' '; }, '?');
    return at == url.npos ? shown : "..." + shown;
}

[[noreturn]] void refuse(const std::string& url, std::string_view remedy) {
    throw std::invalid_argument(fmt::format("malformed URL '{}': {}", redacted(url), remedy));
}

std::string shown_text(CURLU* url) {
    const url_handle copy(curl_url_dup(url));
    if (!copy) throw std::bad_alloc();
    curl_url_set(copy.get(), CURLUPART_USER, nullptr, 0);
    curl_url_set(copy.get(), CURLUPART_PASSWORD, nullptr, 0);
    return url_part(copy.get(), CURLUPART_URL);
}

}  // namespace

checked_url check_url(const std::string& url) {
    if (url.empty()) refuse(url, "it is empty; write http://host/path");
    if (url.find('\0') != std::string::npos) refuse(url, "it has a zero byte; percent-encode it");
    const url_handle parsed = make_url();
    const CURLUcode code = curl_url_set(parsed.get(), CURLUPART_URL, url.c_str(), CURLU_NON_SUPPORT_SCHEME);
    if (code == CURLUE_OUT_OF_MEMORY) throw std::bad_alloc();
    if (code == CURLUE_BAD_SCHEME) refuse(url, "it has no scheme; write http:// or https:// in front");
    if (code != CURLUE_OK)
        refuse(url, fmt::format("{}; write http://host[:port]/path, percent-encoded", curl_url_strerror(code)));
    const std::string scheme = url_part(parsed.get(), CURLUPART_SCHEME);
    if (scheme != "http" && scheme != "https")
        refuse(url, fmt::format("the scheme is {}; only http and https can be fetched", scheme));
    checked_url result{.text = url_part(parsed.get(), CURLUPART_URL),
                       .shown = shown_text(parsed.get()),
                       .host = url_part(parsed.get(), CURLUPART_HOST),
                       .authority = {}};
    if (result.host.empty()) refuse(url, "it has no host; write http://host/path");
    const std::string port = url_part(parsed.get(), CURLUPART_PORT, CURLU_DEFAULT_PORT);
    if (port == "0") refuse(url, "port 0 cannot be connected to; write 1 to 65535");
    result.authority = fmt::format("{}:{}", result.host, port);
    return result;
}

std::string without_credentials(const std::string& url) {
    const url_handle parsed = make_url();
    if (curl_url_set(parsed.get(), CURLUPART_URL, url.c_str(), CURLU_NON_SUPPORT_SCHEME) != CURLUE_OK)
        return redacted(url);
    return shown_text(parsed.get());
}

}  // namespace tercet::http
