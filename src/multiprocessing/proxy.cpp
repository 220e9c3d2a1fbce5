#include <tercet/futures/errors.hpp>
#include <tercet/multiprocessing/managed_dict.hpp>
#include <tercet/multiprocessing/managed_list.hpp>
#include <tercet/multiprocessing/proxy.hpp>

#include <fmt/format.h>

#include <stdexcept>

namespace tercet::multiprocessing {

const manager_link& proxy_base::link() const {
    if (!link_) throw invalid_state_error("proxy: it is empty, and refers to no object");
    return *link_;
}

namespace detail {

void throw_no_item(const char* call, std::size_t index, std::size_t size) {
    throw std::out_of_range(fmt::format("list_proxy: {}: item {} of {}", call, index, size));
}

void throw_no_such_item(const char* call) {
    throw std::invalid_argument(fmt::format("list_proxy: {}: no such item", call));
}

void throw_no_key(const char* call) { throw std::out_of_range(fmt::format("dict_proxy: {}: no such key", call)); }

}  // namespace detail

}  // namespace tercet::multiprocessing
