#pragma once

namespace tercet::multiprocessing {

/// In a fork server, before it serves: makes the call that its program has sent over `control`, if any. Ends this
/// process when that throws, or when the program, which `parent` is a pidfd of, ends meanwhile.
void run_forkserver_preload(int control, int parent);

}  // namespace tercet::multiprocessing
