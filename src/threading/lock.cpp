#include <tercet/futures/errors.hpp>
#include <tercet/threading/lock.hpp>

namespace tercet::threading {

bool primitive_lock::acquire_slowly(clock::time_point deadline, std::source_location site) {
    note_.begins_to_wait(site);
    const bool is_mine = word_.try_lock_until(deadline);
    note_.ends_to_wait();
    if (is_mine)
        note_.acquired(site);
    else
        note_.check_owner();
    return is_mine;
}

void primitive_lock::throw_not_held() {
    throw invalid_state_error("lock: release of a lock that nobody holds; acquire it first");
}

}  // namespace tercet::threading
