#include <tercet/asyncio/bounded_semaphore.hpp>

#include <fmt/format.h>

#include <stdexcept>

namespace tercet::asyncio {

void bounded_semaphore::release(std::size_t count) {
    if (count > most_ - available())
        throw std::invalid_argument(
            fmt::format("bounded_semaphore: release of {} with {} of {} permits free; release each permit once", count,
                        available(), most_));
    semaphore::release(count);
}

}  // namespace tercet::asyncio
