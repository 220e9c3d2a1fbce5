#pragma once

#include <functional>
#include <mutex>

namespace tercet::tools {

/// Makes SIGINT, SIGTERM and SIGHUP end the program from a thread that waits for them, whatever the other threads do.
/// A second signal ends it at once. One for each program, made in `main` before any other thread.
class interrupt {
public:
    interrupt();

private:
    friend class last_words;

    std::mutex mutex_;
    std::function<void()> last_words_;
};

/// What to do, as long as this lives, before the program ends with status 128 + signal. Runs on the interrupt's thread,
/// and is cut off after two seconds.
class last_words {
public:
    last_words(interrupt& of, std::function<void()> words);
    /// Waits for words that are being spoken, that is, for the end of the program.
    ~last_words();
    last_words(const last_words&) = delete;
    last_words& operator=(const last_words&) = delete;

private:
    interrupt& of_;
};

}  // namespace tercet::tools
