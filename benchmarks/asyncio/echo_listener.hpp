#pragma once

namespace tercet::benchmarks {

/// A socket that listens on a free port of 127.0.0.1; `flags` are those of socket(2).
int listen_on_loopback(int flags);

unsigned port_of(int listener);

}  // namespace tercet::benchmarks
