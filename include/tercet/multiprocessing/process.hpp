#pragma once

#include <tercet/multiprocessing/process_handle.hpp>
#include <tercet/multiprocessing/remote_call.hpp>
#include <tercet/multiprocessing/start_method.hpp>

#include <concepts>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace tercet::multiprocessing {

/// What a `process` is to be like.
struct process_options {
    std::string name = {};  ///< empty: Process-1, Process-2, …, and Process-1:1 in Process-1
    bool daemon = false;    ///< does not hold up the end of its parent; destroying its `process` lets it run on
    std::optional<multiprocessing::start_method> start_method = {};  ///< none: `get_start_method()` at its start
};

/// A call in a process of its own, a copy of this program whose `main` is not entered (see `guard`). It begins with
/// `start()`, and ends at the latest with this object, which waits for it.
///
/// The end of this process (return from `main`, `std::exit`) waits for all processes that are not daemons and still
/// run, because their objects are static or were never destroyed; daemons get SIGTERM, and SIGKILL a second later.
/// However else this process ends, SIGKILL included, all that it has started are killed with it: none is ever left
/// behind, and a daemon may start processes of its own. The fork server belongs to this process: if that is killed, so
/// are the processes that it has started, and the next `start` begins with a new one.
///
/// The process ends as a program does whose `main` returns: by `std::exit`, so threads of `tercet::threading` that are
/// not daemons are waited for, and static objects are destroyed. An exception that leaves the function is written to
/// standard error. Standard input is empty; SIGINT has its default effect, so Ctrl-C ends it.
///
///     auto [here, there] = pipe();
///     process worker({.name = "worker"}, [](connection line, int n) { line.send(n * n); }, there, 7);
///     worker.start();
///     here.recv<int>();
class process : public process_handle {
public:
    /// Will call `fn(args...)`, sent as for `process_pool_executor::submit`; what it returns is not kept. They are
    /// encoded here, so duplicates of file descriptors among them stay open until `start`. Throws what encoding does.
    template <class Fn, class... Args>
        requires(!std::derived_from<std::remove_cvref_t<Fn>, process_handle> &&
                 !std::same_as<std::remove_cvref_t<Fn>, process_options>)
    explicit process(Fn&& fn, Args&&... args)
        : process(process_options{}, std::forward<Fn>(fn), std::forward<Args>(args)...) {}
    template <class Fn, class... Args>
    explicit process(process_options options, Fn&& fn, Args&&... args)
        : process(std::move(options), encoded(fn, std::forward<Args>(args)...)) {}

    process(process&& other) noexcept = default;
    /// Ends the process that was here before as the destructor does.
    process& operator=(process&& other) noexcept;
    /// Waits for the process; lets a daemon go. Does neither in the child of a fork.
    ~process();

    /// Throws `invalid_state_error` when it was started before, `process_start_error` with the remedy when this process
    /// may start none or the fork server does not answer, `std::system_error`; then it was not started.
    void start();

private:
    template <class Fn, class... Args>
    static encoder encoded(const Fn& fn, Args&&... args) {
        static_assert(!remote_call_of<Fn, Args...>::is_stoppable,
                      "tercet: the function of a process cannot take a std::stop_token, since nobody could ask it to "
                      "stop: send it an event, or end it by terminate()");
        encoder out;
        remote_call_of<Fn, Args...>::encode_request(out, fn, args...);
        return out;
    }
    process(process_options options, encoder request);
    void end() noexcept;
};

/// How many CPUs the machine has online, also those that this process may not use: for that, `tercet::usable_cpus`.
std::size_t cpu_count() noexcept;

}  // namespace tercet::multiprocessing
