#pragma once

#include <tercet/futures/time_limit.hpp>
#include <tercet/multiprocessing/archive.hpp>
#include <tercet/multiprocessing/process_handle.hpp>
#include <tercet/multiprocessing/start_method.hpp>
#include <tercet/multiprocessing/unique_fd.hpp>

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

namespace tercet::multiprocessing {

/// What a `process` and its handles share. The states stand in process_state.cpp.
class process_state {
public:
    process_state(std::string name, bool daemon, std::optional<start_method> method, encoder request);

    const std::string& name() const noexcept { return name_; }
    std::optional<pid_t> pid();
    bool daemon();
    bool is_alive();
    std::optional<int> exitcode();
    bool join(time_limit limit);
    int sentinel();
    /// `call` is for error texts.
    void send_signal(int signal, const char* call);
    void close();
    void start();

    /// Belongs to this process, not to the one that this is a fork of.
    bool is_ours() const noexcept;

private:
    enum class stage { made, running, over, closed };

    void require(const char* call) const;
    void require_started(const char* call) const;
    void look_for_end();
    void note_end(int exitcode);
    unique_fd ask_for_process();

    const std::string name_;
    const bool is_daemon_;
    std::optional<start_method> method_;  // known once it is started
    const std::uint64_t generation_;
    std::mutex mutex_;
    stage at_ = stage::made;
    encoder request_;
    pid_t pid_ = 0;
    std::shared_ptr<unique_fd> server_;  // who joins keeps it open
    std::uint64_t server_generation_ = 0;
    int exitcode_ = 0;
};

}  // namespace tercet::multiprocessing
