#pragma once

#include <tercet/multiprocessing/byte_buffer.hpp>
#include <tercet/multiprocessing/codec.hpp>
#include <tercet/multiprocessing/remote_call.hpp>
#include <tercet/multiprocessing/unique_fd.hpp>

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace tercet::multiprocessing {

/// What a manager says to a call.
class manager_answer {
public:
    manager_answer(byte_buffer bytes, std::vector<unique_fd> descriptors) noexcept
        : bytes_(std::move(bytes)), descriptors_(std::move(descriptors)) {}

    /// The result of a `Call`. Throws what that threw, and `decode_error`.
    template <class Call>
    typename Call::result_type result() {
        decoder in(bytes_.bytes(), descriptors_);
        read_status(in);
        return Call::decode_result(in);
    }

private:
    /// Throws the error, if it is one.
    static void read_status(decoder& in);

    byte_buffer bytes_;
    std::vector<unique_fd> descriptors_;
};

/// How a manager is reached, from any process that was sent one of its proxies. Each thread has a line of its own to
/// each manager whose objects it uses, for as long as it runs: so the manager knows threads apart, and a call that
/// waits there holds up nobody else.
struct manager_link {
    std::string address{};
    std::string authkey{};
    pid_t pid = 0;  ///< of the manager, for error texts

    /// Makes a call in the manager. Throws `manager_died`, `authentication_error`, what a `connection` throws, and what
    /// the call throws. Any thread.
    template <class Fn, class... Args>
    auto call(const Fn& fn, const Args&... args) const {
        using call_type = remote_call_of<Fn, const Args&...>;
        encoder request;
        call_type::encode_request(request, fn, args...);
        return exchange(request).template result<call_type>();
    }

private:
    manager_answer exchange(encoder& request) const;
};

}  // namespace tercet::multiprocessing
