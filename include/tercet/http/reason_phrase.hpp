#pragma once

#include <string_view>

namespace tercet::http {

/// The words for a status, such as "Not Found"; "Unknown Status" when there are none.
std::string_view reason_phrase(int status) noexcept;

}  // namespace tercet::http
