#include "detached_thread.hpp"

#include <pthread.h>

#include <csignal>
#include <system_error>

namespace tercet::multiprocessing {

void start_detached_thread(void* (*run)(void*), void* argument, std::size_t stack_size) {
    sigset_t all;
    sigset_t before;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_attr_t attributes;
    ::pthread_attr_init(&attributes);
    ::pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    if (stack_size != 0) ::pthread_attr_setstacksize(&attributes, stack_size);
    pthread_t thread{};
    const int error = ::pthread_create(&thread, &attributes, run, argument);
    ::pthread_attr_destroy(&attributes);
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
    if (error != 0) throw std::system_error(error, std::system_category(), "pthread_create");
}

}  // namespace tercet::multiprocessing
