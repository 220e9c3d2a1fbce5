#include "start_service.hpp"

#include <tercet/multiprocessing/guard.hpp>

#include "fork_server.hpp"
#include "fork_thread.hpp"

namespace tercet::multiprocessing {

start_service& start_service_for(start_method method) {
    if (method == start_method::fork) return fork_thread::instance();
    return fork_server::instance();  // which starts processes afresh, too
}

void terminate_all() noexcept {
    if (fork_server* const server = fork_server::instance_if_any()) server->terminate();
    if (fork_thread* const thread = fork_thread::instance_if_any()) thread->terminate();
}

}  // namespace tercet::multiprocessing
