#pragma once

#include <tercet/asyncio/ready_queue.hpp>

#include <cstdint>
#include <random>
#include <vector>

namespace tercet::asyncio {

/// Puts what is ready into an order that follows from a seed.
class ready_shuffler {
public:
    explicit ready_shuffler(std::uint64_t seed) : random_(seed) {}

    /// Returns how many there are.
    int shuffle(ready_queue& ready);

private:
    std::mt19937_64 random_;
    std::vector<ready_node*> nodes_;
};

}  // namespace tercet::asyncio
