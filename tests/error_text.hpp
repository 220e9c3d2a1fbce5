#pragma once

#include <tercet/futures/future.hpp>

#include <exception>
#include <string>

namespace tercet {

/// What the error of a call says; waits for it.
template <class T>
std::string text_of(future<T>& failed) {
    try {
        failed.result();
    } catch (const std::exception& error) {
        return error.what();
    }
    return "no error";
}

}  // namespace tercet
