#pragma once

#include <tercet/multiprocessing/shared_segment.hpp>
#include <tercet/multiprocessing/unique_fd.hpp>

#include <pthread.h>
#include <sys/types.h>

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace tercet::multiprocessing {

/// Answers for the names of shared memory that this process has created, on a thread that runs while there are any.
/// Thread-safe. In the child of a fork it has no names.
class name_server {
public:
    static name_server& instance();
    /// To be called once, before there are threads.
    static void prepare_for_forks();

    /// Publishes `segment` and returns a number for it. Throws `std::system_error`.
    std::uint64_t add(const std::string& name, std::shared_ptr<shared_segment> segment);
    /// Takes the name back. False: it is gone already.
    bool remove(std::uint64_t number) noexcept;

    /// The memory that some process has published. Throws `std::system_error`.
    static unique_fd find(const std::string& name);
    /// Asks whoever has published it to take it back. Throws `std::system_error`.
    static void unlink(const std::string& name);

private:
    struct published {
        std::shared_ptr<shared_segment> segment;
        unique_fd finds;    // who connects here is given the descriptor
        unique_fd unlinks;  // who connects here takes the name away
    };

    static void* run(void* server) noexcept;
    void serve() noexcept;
    bool serve_once();
    static void answer(published& asked);
    static std::vector<unique_fd> take_unlinking(published& asked);
    void make_ready();
    void start_thread();
    void watch(int fd, std::uint64_t number);
    void forget_all() noexcept;

    std::mutex mutex_;
    std::map<std::uint64_t, published> all_;
    std::uint64_t last_number_ = 0;
    bool runs_ = false;
    unique_fd waited_;   // an epoll: unlike poll it holds no socket, so that a name is free as soon as it is closed
    unique_fd emptied_;  // an eventfd: no name is left
};

}  // namespace tercet::multiprocessing
