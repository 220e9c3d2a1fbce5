#include "output.hpp"

#include <cstdio>
#include <iostream>

namespace tercet::multiprocessing {

void flush_output() noexcept {
    try {
        std::cout.flush();
    } catch (...) {  // NOLINT(bugprone-empty-catch): the program asked for exceptions; nobody is left to hear of them
    }
    std::fflush(stdout);
}

}  // namespace tercet::multiprocessing
