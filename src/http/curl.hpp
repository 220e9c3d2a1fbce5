#pragma once

#include <curl/curl.h>

#include <memory>
#include <string>

namespace tercet::http {

struct easy_deleter {
    void operator()(CURL* handle) const noexcept { curl_easy_cleanup(handle); }
};
struct multi_deleter {
    void operator()(CURLM* handle) const noexcept { curl_multi_cleanup(handle); }
};
struct list_deleter {
    void operator()(curl_slist* list) const noexcept { curl_slist_free_all(list); }
};
struct url_deleter {
    void operator()(CURLU* url) const noexcept { curl_url_cleanup(url); }
};
struct text_deleter {
    void operator()(char* text) const noexcept { curl_free(text); }
};
using easy_handle = std::unique_ptr<CURL, easy_deleter>;
using multi_handle = std::unique_ptr<CURLM, multi_deleter>;
using text_list = std::unique_ptr<curl_slist, list_deleter>;
using url_handle = std::unique_ptr<CURLU, url_deleter>;
using curl_text = std::unique_ptr<char, text_deleter>;

/// A handle of libcurl, which is initialised before the first of them. Thread-safe. Throws `std::bad_alloc`.
easy_handle make_easy();
multi_handle make_multi();
url_handle make_url();

/// A part of `url`, "" when it has none. Throws `std::bad_alloc`.
std::string url_part(CURLU* url, CURLUPart what, unsigned flags = 0);

}  // namespace tercet::http
