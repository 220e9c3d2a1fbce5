#include "url_list.hpp"

#include <tercet/http/url.hpp>

#include <fmt/format.h>

#include <cerrno>
#include <cstring>
#include <fstream>

#include "usage_error.hpp"

namespace tercet::tools {

void check_url(const std::string& url, const std::string& origin) {
    try {
        http::check_url(url);
    } catch (const std::invalid_argument& error) {
        throw usage_error(fmt::format("{}: {}", origin, error.what()));
    }
}

std::vector<std::string> read_url_list(const std::string& path) {
    std::ifstream file(path);
    if (!file) throw usage_error(fmt::format("--url-file {}: {}", path, std::strerror(errno)));
    std::vector<std::string> urls;
    std::size_t number = 0;
    for (std::string line; std::getline(file, line);) {
        ++number;
        const auto begin = line.find_first_not_of(" \t\r");
        if (begin == std::string::npos || line[begin] == '#') continue;
        urls.push_back(line.substr(begin, line.find_last_not_of(" \t\r") - begin + 1));
        check_url(urls.back(), fmt::format("{}:{}", path, number));
    }
    if (file.bad()) throw usage_error(fmt::format("--url-file {}: {}", path, std::strerror(errno)));
    if (urls.empty()) throw usage_error(fmt::format("--url-file {}: no URL in it", path));
    return urls;
}

}  // namespace tercet::tools
