#pragma once

namespace tercet::multiprocessing {

/// Whether this process is a worker of a pool, or the fork server that makes them. Static objects of the program are
/// constructed there as well, while `main` is not entered: a constructor that must not do its work twice asks this.
bool in_worker() noexcept;

/// Turns this process into a fork server or a worker and does not return, if it was started to be one; else does
/// nothing. The first statement of `main` in programs linked with `-static`; elsewhere the library sees to it before
/// `main`, and the call is allowed and idle.
void guard(int argc, char** argv);

/// Kills the fork server of this process, all workers of all its pools and every `process` at once, and waits until
/// they are gone. The pools are broken then; new ones start anew. For the way out of a program that was interrupted,
/// before
/// `_exit`. Any thread, not in a signal handler.
void terminate_all() noexcept;

}  // namespace tercet::multiprocessing
