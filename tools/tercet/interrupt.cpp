#include "interrupt.hpp"

#include <tercet/multiprocessing.hpp>

#include <pthread.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <thread>
#include <utility>

namespace tercet::tools {

namespace {

constexpr auto patience = std::chrono::seconds(2);

}  // namespace

interrupt::interrupt() {
    sigset_t signals;
    ::sigemptyset(&signals);
    for (const int each : {SIGINT, SIGTERM, SIGHUP}) ::sigaddset(&signals, each);
    ::pthread_sigmask(SIG_BLOCK, &signals, nullptr);  // inherited by every thread that is made from here on
    std::thread([this, signals] {
        int signal = 0;
        while (::sigwait(&signals, &signal) != 0) {
        }
        ::pthread_sigmask(SIG_UNBLOCK, &signals, nullptr);
        std::thread limit([signal] {  // nobody may be reading the last words
            std::this_thread::sleep_for(patience);
            ::_exit(128 + signal);
        });
        limit.detach();
        const std::lock_guard lock(mutex_);
        if (last_words_) last_words_();
        multiprocessing::terminate_all();
        ::_exit(128 + signal);  // the other threads are in the middle of something; destructors would wait for them
    }).detach();
}

last_words::last_words(interrupt& of, std::function<void()> words) : of_(of) {
    const std::lock_guard lock(of_.mutex_);
    of_.last_words_ = std::move(words);
}

last_words::~last_words() {
    const std::lock_guard lock(of_.mutex_);
    of_.last_words_ = nullptr;
}

}  // namespace tercet::tools
