#pragma once

#include <tercet/multiprocessing/archive.hpp>
#include <tercet/multiprocessing/remote_call.hpp>

#include <utility>

namespace tercet::multiprocessing {

namespace detail {
void set_forkserver_preload_request(encoder request);
}

/// Has each fork server of this process call `fn(args...)` once, before it serves: what that reads or computes, all
/// workers and processes with start_method::forkserver have from the start, in memory that they share until they write
/// to it. The call must leave no thread behind. Its time counts among that in which a worker has to be ready
/// (`start_timeout`). An exception that leaves it is written to standard error, and no fork server starts.
///
/// To be called before the first pool or process: throws `invalid_state_error` while a fork server runs (see
/// `terminate_all`). Throws `std::length_error` for arguments of more than 64 KiB, `std::invalid_argument` for some
/// that are known by file descriptors. Thread-safe.
template <class Fn, class... Args>
void set_forkserver_preload(const Fn& fn, Args&&... args) {
    encoder request;
    remote_call_of<Fn, Args...>::encode_request(request, fn, args...);
    detail::set_forkserver_preload_request(std::move(request));
}

/// Has them call nothing.
inline void set_forkserver_preload() { detail::set_forkserver_preload_request(encoder()); }

}  // namespace tercet::multiprocessing
