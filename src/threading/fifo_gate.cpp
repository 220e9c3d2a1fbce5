#include <threading/fifo_gate_protocol.hpp>

namespace tercet::threading {

template class basic_fifo_gate<thread_machine>;

}  // namespace tercet::threading
