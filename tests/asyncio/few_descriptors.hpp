#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <vector>

/// While it lives, the process may open no descriptor but `spare` ones.
class few_descriptors {
public:
    explicit few_descriptors(std::size_t spare = 0) {
        ::getrlimit(RLIMIT_NOFILE, &usual_);
        const int highest = ::dup(0);
        rlimit few{static_cast<rlim_t>(highest) + 64, usual_.rlim_max};
        ::close(highest);
        ::setrlimit(RLIMIT_NOFILE, &few);
        for (int held = 0; (held = ::open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0;) held_.push_back(held);
        EXPECT_GE(held_.size(), spare);
        for (; spare > 0; --spare) {
            ::close(held_.back());
            held_.pop_back();
        }
    }
    few_descriptors(const few_descriptors&) = delete;
    few_descriptors& operator=(const few_descriptors&) = delete;
    ~few_descriptors() {
        for (const int each : held_) ::close(each);
        ::setrlimit(RLIMIT_NOFILE, &usual_);
    }

    /// How many may be opened now.
    std::size_t spare_now() const {
        std::vector<int> opened;
        for (int each = 0; (each = ::open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0;) opened.push_back(each);
        for (const int each : opened) ::close(each);
        return opened.size();
    }

private:
    rlimit usual_{};
    std::vector<int> held_;
};
