#pragma once

#include <tercet/futures/time_limit.hpp>
#include <tercet/multiprocessing/proxy.hpp>

#include "served_client.hpp"

namespace tercet::multiprocessing::served {

/// When a wait ends that begins now. Throws `std::invalid_argument` for a time that no `time_limit` has.
inline time_point deadline_of(const wait_time& limit) {
    return limit ? time_limit(*limit).deadline() : time_point::max();
}

}  // namespace tercet::multiprocessing::served
