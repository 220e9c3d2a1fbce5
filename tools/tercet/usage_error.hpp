#pragma once

#include <stdexcept>

namespace tercet::tools {

/// The user asked for something that cannot be done; exit status 2.
class usage_error : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

}  // namespace tercet::tools
