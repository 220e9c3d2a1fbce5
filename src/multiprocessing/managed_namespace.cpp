#include <tercet/multiprocessing/managed_namespace.hpp>

#include <fmt/format.h>

#include <stdexcept>

namespace tercet::multiprocessing::served {

encoded_value attributes::get(const std::string& name) const {
    const auto found = all_.find(name);
    if (found == all_.end()) throw std::out_of_range(fmt::format("namespace_proxy: get: there is no '{}'", name));
    return found->second;
}

std::vector<std::string> attributes::names() const {
    std::vector<std::string> names;
    for (const auto& each : all_) names.push_back(each.first);
    return names;
}

}  // namespace tercet::multiprocessing::served
