// A turn runs at most what was ready at its beginning, and nothing that became ready in it: so nobody is ready for
// ever, and while turns are not cut short by the budget, everybody runs once before anybody runs twice.

#include "asyncio/ready_shuffler.hpp"

#include <utility>

namespace tercet::asyncio {

int ready_shuffler::shuffle(ready_queue& ready) {
    nodes_.clear();
    while (ready_node* const node = ready.pop()) nodes_.push_back(node);
    for (std::size_t left = nodes_.size(); left > 1; --left) std::swap(nodes_[left - 1], nodes_[random_() % left]);
    for (ready_node* const each : nodes_) ready.push(*each);
    return static_cast<int>(nodes_.size());
}

}  // namespace tercet::asyncio
