#pragma once

#include <tercet/multiprocessing/connection.hpp>
#include <tercet/multiprocessing/listener.hpp>
#include <tercet/multiprocessing/managed_object.hpp>
#include <tercet/multiprocessing/unique_fd.hpp>

#include <condition_variable>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

namespace tercet::multiprocessing {

namespace served {
class client;
}

/// The process of a manager.
class manager_server {
public:
    /// `control`: to who has started the process, and its end is that of this server.
    manager_server(connection control, std::string authkey);

    [[noreturn]] void run();

    detail::object_handle keep(std::shared_ptr<detail::managed_object> object);
    std::shared_ptr<detail::managed_object> find(std::uint64_t number);

    /// That of this process; null: it is no manager.
    static manager_server* instance() noexcept;

private:
    struct kept_object {
        std::shared_ptr<detail::managed_object> object;
        unique_fd anchor;  ///< the end of the pipe that is here
    };

    class line_of_client;

    void watch(int fd, std::uint32_t events, std::uint64_t key);
    void accept_clients();
    void serve(connection& line) noexcept;
    static void prepare_for_forks();
    void leave_sockets() noexcept;
    void drop_object(std::uint64_t number) noexcept;
    [[noreturn]] void destroy_objects() noexcept;
    void end_client(std::uint64_t number) noexcept;
    [[noreturn]] void end() noexcept;
    static bool answer_call(connection& line);

    connection control_;
    std::string authkey_;
    listener listener_;
    unique_fd watched_;
    std::mutex mutex_;
    std::uint64_t last_number_ = 0;  // of an object or a client
    std::map<std::uint64_t, kept_object> objects_;
    std::set<int> sockets_;  // of this process alone
    std::map<std::uint64_t, std::shared_ptr<served::client>> clients_;
    std::vector<std::shared_ptr<detail::managed_object>> dropped_;
    std::condition_variable has_dropped_;
};

/// What the process of a manager runs.
void serve_manager(connection control, std::string authkey);

}  // namespace tercet::multiprocessing
