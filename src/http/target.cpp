#include <http/curl.hpp>
#include <http/target.hpp>

#include <new>

namespace tercet::http {

target_parts split_target(const std::string& target) {
    if (target.starts_with('/')) {
        const auto mark = target.find('?');
        return {.path = target.substr(0, mark), .query = mark == target.npos ? "" : target.substr(mark + 1)};
    }
    const url_handle parsed = make_url();
    if (curl_url_set(parsed.get(), CURLUPART_URL, target.c_str(), CURLU_PATH_AS_IS) != CURLUE_OK)
        return {.path = target, .query = {}};
    return {.path = url_part(parsed.get(), CURLUPART_PATH), .query = url_part(parsed.get(), CURLUPART_QUERY)};
}

std::string percent_decoded(const std::string& text) {
    int length = 0;
    // Without a handle: nothing of one is used.
    const curl_text decoded(curl_easy_unescape(nullptr, text.data(), static_cast<int>(text.size()), &length));
    if (!decoded) throw std::bad_alloc();
    return {decoded.get(), static_cast<std::size_t>(length)};
}

}  // namespace tercet::http
