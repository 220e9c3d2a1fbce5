// posix_spawn of glibc is clone with CLONE_VM and CLONE_VFORK: no copy of this process is made, other threads do not
// matter, and an exec that fails comes back as an error. The child's ends are copied above the standard
// descriptors first, so that the order in which they are put there does not matter, whatever numbers they have: also
// when this process has closed its own.

#include <tercet/asyncio/event_loop.hpp>
#include <tercet/asyncio/pipe_streams.hpp>
#include <tercet/asyncio/subprocess.hpp>

#include <fcntl.h>
#include <spawn.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <stdexcept>
#include <system_error>

#include "asyncio/subprocess_state.hpp"

namespace tercet::asyncio {

namespace {

[[noreturn]] void fail(int error, const std::string& what) {
    throw std::system_error(error, std::system_category(), "run " + what);
}

class owned_descriptor {
public:
    owned_descriptor() noexcept = default;
    explicit owned_descriptor(int descriptor) noexcept : descriptor_(descriptor) {}
    owned_descriptor(owned_descriptor&& other) noexcept : descriptor_(other.release()) {}
    owned_descriptor& operator=(owned_descriptor&& other) noexcept {
        std::swap(descriptor_, other.descriptor_);
        return *this;
    }
    ~owned_descriptor() {
        if (descriptor_ >= 0) ::close(descriptor_);
    }
    int get() const noexcept { return descriptor_; }
    int release() noexcept { return std::exchange(descriptor_, -1); }
    explicit operator bool() const noexcept { return descriptor_ >= 0; }

private:
    int descriptor_ = -1;
};

class file_actions {
public:
    file_actions() { check(::posix_spawn_file_actions_init(&actions_)); }
    file_actions(const file_actions&) = delete;
    file_actions& operator=(const file_actions&) = delete;
    ~file_actions() { ::posix_spawn_file_actions_destroy(&actions_); }

    void put(int descriptor, int as) { check(::posix_spawn_file_actions_adddup2(&actions_, descriptor, as)); }
    void close_others() { check(::posix_spawn_file_actions_addclosefrom_np(&actions_, STDERR_FILENO + 1)); }
    void change_directory(const std::string& path) {
        check(::posix_spawn_file_actions_addchdir_np(&actions_, path.c_str()));
    }
    const posix_spawn_file_actions_t* get() const noexcept { return &actions_; }

private:
    static void check(int error) {
        if (error != 0) fail(error, "a program: posix_spawn_file_actions");
    }
    posix_spawn_file_actions_t actions_{};
};

class attributes {
public:
    explicit attributes(bool starts_new_session) {
        if (const int error = ::posix_spawnattr_init(&attributes_)) fail(error, "a program: posix_spawnattr_init");
        sigset_t signals;
        ::sigemptyset(&signals);
        ::posix_spawnattr_setsigmask(&attributes_, &signals);
        ::sigaddset(&signals, SIGPIPE);
        ::sigaddset(&signals, SIGXFSZ);
        ::posix_spawnattr_setsigdefault(&attributes_, &signals);
        const int flags =
            POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | (starts_new_session ? POSIX_SPAWN_SETSID : 0);
        ::posix_spawnattr_setflags(&attributes_, static_cast<short>(flags));
    }
    attributes(const attributes&) = delete;
    attributes& operator=(const attributes&) = delete;
    ~attributes() { ::posix_spawnattr_destroy(&attributes_); }
    const posix_spawnattr_t* get() const noexcept { return &attributes_; }

private:
    posix_spawnattr_t attributes_{};
};

/// A standard stream of a child: its end, nothing when it inherits ours; and ours of a pipe.
struct standard_stream {
    owned_descriptor child;
    owned_descriptor ours;
};

owned_descriptor above_standard(int descriptor, const std::string& program) {
    owned_descriptor copy(::fcntl(descriptor, F_DUPFD_CLOEXEC, STDERR_FILENO + 1));
    if (!copy) fail(errno, program + ": descriptor " + std::to_string(descriptor));
    return copy;
}

standard_stream open_stream(stdio to, int number, const std::string& program) {
    standard_stream stream;
    switch (to.what()) {
        case stdio::inherit:
            break;
        case stdio::to_descriptor:
            stream.child = above_standard(to.descriptor(), program);
            break;
        case stdio::devnull: {
            const owned_descriptor opened(::open("/dev/null", O_CLOEXEC | (number == 0 ? O_RDONLY : O_WRONLY)));
            if (!opened) fail(errno, program + ": /dev/null");
            stream.child = above_standard(opened.get(), program);
            break;
        }
        case stdio::pipe: {
            std::array<int, 2> ends{};
            if (::pipe2(ends.data(), O_CLOEXEC) != 0) fail(errno, program + ": pipe");
            owned_descriptor reading(ends[0]);
            owned_descriptor writing(ends[1]);
            stream.child = above_standard(number == 0 ? reading.get() : writing.get(), program);
            stream.ours = std::move(number == 0 ? writing : reading);
            break;
        }
        case stdio::to_stdout:
            if (number != STDERR_FILENO)
                throw std::invalid_argument("run " + program + ": only the errors can go to_stdout");
    }
    return stream;
}

void require_no_zero(const std::string& text, const std::string& program) {
    if (text.find('\0') != std::string::npos)
        throw std::invalid_argument("run " + program + ": a text with a zero byte");
}

std::vector<char*> pointers_to(std::vector<std::string>& texts) {
    std::vector<char*> pointers;
    for (std::string& each : texts) pointers.push_back(each.data());
    pointers.push_back(nullptr);
    return pointers;
}

pid_t spawn_process(const std::string& program, std::vector<std::string>& arguments,
                    const std::array<standard_stream, 3>& streams, const subprocess_options& options) {
    file_actions actions;
    for (int number = 0; number < 3; ++number) {
        const owned_descriptor& end = streams[static_cast<std::size_t>(number)].child;
        if (end) actions.put(end.get(), number);
    }
    if (options.stderr_.what() == stdio::to_stdout) actions.put(STDOUT_FILENO, STDERR_FILENO);
    actions.close_others();
    if (!options.cwd.empty()) actions.change_directory(options.cwd);
    const attributes how(options.start_new_session);
    std::vector<std::string> lines;
    std::vector<char*> environment;
    if (options.env) {
        lines = options.env->lines();
        environment = pointers_to(lines);
    }
    const std::vector<char*> argv = pointers_to(arguments);
    pid_t pid = -1;
    const int error = ::posix_spawnp(&pid, program.c_str(), actions.get(), how.get(), argv.data(),
                                     options.env ? environment.data() : environ);
    if (error == 0) return pid;
    if (!options.cwd.empty() && ::access(options.cwd.c_str(), X_OK) != 0) fail(error, program + " in " + options.cwd);
    fail(error, program);
}

}  // namespace

subprocess create_subprocess_exec(const std::string& program, std::vector<std::string> arguments,
                                  const subprocess_options& options) {
    event_loop& loop = get_running_loop();
    require_no_zero(program, program.c_str());
    require_no_zero(options.cwd, program);
    for (const std::string& each : arguments) require_no_zero(each, program);
    arguments.insert(arguments.begin(), program);
    // All that may fail without a child comes before it.
    auto state = std::make_shared<subprocess_state>(loop, program, options.start_new_session, options.at_end);
    std::array<standard_stream, 3> streams;
    streams[0] = open_stream(options.stdin_, STDIN_FILENO, program);
    streams[1] = open_stream(options.stdout_, STDOUT_FILENO, program);
    streams[2] = open_stream(options.stderr_, STDERR_FILENO, program);
    const pipe_options limits{options.limit};
    std::optional<stream_writer> to_child;
    std::optional<stream_reader> from_child;
    std::optional<stream_reader> errors_of_child;
    if (streams[0].ours) to_child.emplace(connect_write_pipe(streams[0].ours.release(), limits));
    if (streams[1].ours) from_child.emplace(connect_read_pipe(streams[1].ours.release(), limits));
    if (streams[2].ours) errors_of_child.emplace(connect_read_pipe(streams[2].ours.release(), limits));
    state->adopt(spawn_process(program, arguments, streams, options));
    return {std::move(state), std::move(to_child), std::move(from_child), std::move(errors_of_child)};
}

subprocess create_subprocess_shell(std::string command, const subprocess_options& options) {
    return create_subprocess_exec("/bin/sh", {"-c", std::move(command)}, options);
}

}  // namespace tercet::asyncio
