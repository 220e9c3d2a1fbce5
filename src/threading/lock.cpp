#include <tercet/futures/errors.hpp>
#include <tercet/threading/lock.hpp>

#include "wait_for_owner.hpp"

namespace tercet::threading {

bool primitive_lock::acquire_slowly(clock::time_point deadline, std::source_location site) {
    if (!wait_for_owner(word_, note_, deadline, site)) return false;
    note_.acquired(site);
    return true;
}

void primitive_lock::throw_not_held() {
    throw invalid_state_error("lock: release of a lock that nobody holds; acquire it first");
}

}  // namespace tercet::threading
