#include <tercet/multiprocessing/remote_call.hpp>

namespace tercet::multiprocessing {

void run_request(decoder& request, encoder& result) {
    const auto reference = request.read_raw<function_reference>();
    const auto signature = request.read_raw<std::uint64_t>();
    resolve_remote_function(reference, signature).call(request, result);
}

}  // namespace tercet::multiprocessing
