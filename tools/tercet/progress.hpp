#pragma once

#include <cstddef>
#include <mutex>
#include <string>

namespace tercet::tools {

/// Shows on standard error how far a comparison is: a bar on a terminal, a line for each run elsewhere. Thread-safe.
class progress {
public:
    /// `total` items in all runs together.
    explicit progress(std::size_t total);
    ~progress();
    progress(const progress&) = delete;
    progress& operator=(const progress&) = delete;

    /// A run begins.
    void begin(const std::string& label);
    /// One item is done.
    void tick();
    /// Takes the bar away; nothing is shown any more.
    void end();

private:
    void draw() const;

    std::mutex mutex_;
    std::string label_;
    std::size_t total_;
    std::size_t done_ = 0;
    bool is_bar_;
    bool has_ended_ = false;
};

}  // namespace tercet::tools
