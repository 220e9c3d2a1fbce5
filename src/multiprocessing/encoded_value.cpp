#include <tercet/multiprocessing/encoded_value.hpp>

namespace tercet::multiprocessing {

std::vector<unique_fd> encoded_value::duplicates() const {
    encoder made;
    if (descriptors_)
        for (const auto& each : *descriptors_) made.write_descriptor(each.get());
    return made.take_descriptors();
}

void encoded_value::read_descriptors(decoder& in, std::size_t count) {
    std::vector<unique_fd> all;
    for (std::size_t i = 0; i < count; ++i) all.push_back(in.read_descriptor());  // throws when there are fewer
    descriptors_ = all.empty() ? nullptr : std::make_shared<const std::vector<unique_fd>>(std::move(all));
}

}  // namespace tercet::multiprocessing
