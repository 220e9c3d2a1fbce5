// libcurl wants one curl_global_init before anything else. It is never undone: handles of other threads may outlive
// every object of ours, and a process that ends gives everything back anyway.

#include <http/curl.hpp>

#include <new>
#include <stdexcept>
#include <string>

namespace tercet::http {

namespace {

void initialise() {
    static const CURLcode code = curl_global_init(CURL_GLOBAL_ALL);
    if (code != CURLE_OK) throw std::runtime_error(std::string("curl_global_init: ") + curl_easy_strerror(code));
}

}  // namespace

easy_handle make_easy() {
    initialise();
    easy_handle handle(curl_easy_init());
    if (!handle) throw std::bad_alloc();
    return handle;
}

multi_handle make_multi() {
    initialise();
    multi_handle handle(curl_multi_init());
    if (!handle) throw std::bad_alloc();
    return handle;
}

url_handle make_url() {
    url_handle url(curl_url());
    if (!url) throw std::bad_alloc();
    return url;
}

std::string url_part(CURLU* url, CURLUPart what, unsigned flags) {
    char* text = nullptr;
    const CURLUcode code = curl_url_get(url, what, &text, flags);
    const curl_text owner(text);
    if (code == CURLUE_OUT_OF_MEMORY) throw std::bad_alloc();
    return code == CURLUE_OK ? text : "";
}

}  // namespace tercet::http
