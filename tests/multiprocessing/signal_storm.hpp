#pragma once

#include <pthread.h>
#include <signal.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <thread>

namespace tercet::multiprocessing {

/// Interrupts the thread that made it with SIGUSR1, again and again, while it lives.
class signal_storm {
public:
    signal_storm() {
        received = 0;
        struct sigaction action {};
        action.sa_handler = [](int) { received.fetch_add(1); };  // without SA_RESTART
        ::sigaction(SIGUSR1, &action, &before_);
        thread_ = std::jthread([target = ::pthread_self()](const std::stop_token& stop) {
            while (!stop.stop_requested()) {
                ::pthread_kill(target, SIGUSR1);
                std::this_thread::sleep_for(std::chrono::microseconds(200));  // the rhythm of the storm
            }
        });
    }
    signal_storm(const signal_storm&) = delete;
    signal_storm& operator=(const signal_storm&) = delete;
    ~signal_storm() {
        thread_ = {};
        ::sigaction(SIGUSR1, &before_, nullptr);
    }

    static int count() { return received; }
    /// Returns when this thread, which the storm is for, was interrupted once.
    static void wait_for_one() {
        while (received == 0) std::this_thread::yield();
    }

private:
    static inline std::atomic<int> received{0};
    struct sigaction before_ {};
    std::jthread thread_;
};

}  // namespace tercet::multiprocessing
