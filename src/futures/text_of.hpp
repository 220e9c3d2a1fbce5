#pragma once

#include <new>
#include <string>

namespace tercet {

/// The text that `make` returns; "out of memory", which needs none, when there is none for it.
template <class Make>
std::string text_of(const Make& make) noexcept {
    try {
        return make();
    } catch (const std::bad_alloc&) {
        return "out of memory";
    }
}

}  // namespace tercet
