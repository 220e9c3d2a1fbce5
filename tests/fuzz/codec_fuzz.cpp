// Bytes from another process become values, exceptions and calls, or a decode_error, and nothing else. What was read is
// written and read again: then it must be the same.

#include <tercet/multiprocessing/codec.hpp>
#include <tercet/multiprocessing/function_reference.hpp>
#include <tercet/multiprocessing/remote_call.hpp>
#include <tercet/multiprocessing/remote_exception.hpp>

#include <fcntl.h>

#include <array>
#include <chrono>
#include <complex>
#include <cstdint>
#include <deque>
#include <exception>
#include <filesystem>
#include <list>
#include <map>
#include <memory>
#include <new>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <unordered_map>
#include <variant>
#include <vector>

#include "fuzz_input.hpp"

namespace {

using namespace tercet::multiprocessing;

enum class colour : std::uint8_t { red = 1, blue = 7 };

struct point {
    int x;
    double y;
};
struct empty {};
struct tree {
    int value;
    std::vector<tree> children;
};
struct chain {
    std::unique_ptr<chain> next;
    bool is_last;
};
class hooked {
public:
    template <class Archive>
    void serialize(Archive& archive) {
        archive(name_, numbers_);
    }

private:
    std::string name_;
    std::vector<double> numbers_;
};
struct record {
    std::string name;
    std::optional<int> age;
    std::vector<point> path;
    std::map<std::string, std::vector<int>> index;
    bool is_open;
    empty tag;
    colour paint;
    hooked hook;
    char code[8];
};
using either = std::variant<int, std::string, std::vector<record>, std::unique_ptr<tree>>;
using mixed = std::tuple<std::filesystem::path, std::chrono::nanoseconds, std::complex<float>, std::array<bool, 3>>;

template <class T>
void round_trip(std::span<const std::byte> bytes) {
    decoder in(bytes);
    const T value = decode<T>(in);
    encoder first;
    encode(first, value);
    decoder again(first.buffer().bytes());
    const T same = decode<T>(again);
    again.expect_end();
    encoder second;
    encode(second, same);
    require(second.buffer().size() == first.buffer().size());
}

/// Large elements lie in a block that came with the message.
void read_from_block(std::span<const std::byte> bytes) {
    static const auto block = [] {
        auto made = std::make_unique<message_block>();
        const std::vector<std::byte> zeros(4'096);
        require(made->append(zeros.data(), zeros.size()).has_value());
        return made;
    }();
    std::vector<unique_fd> descriptors;
    descriptors.emplace_back(::fcntl(block->file(), F_DUPFD_CLOEXEC, 3));
    decoder in(bytes, descriptors, std::uint64_t{1} << 26U);
    try {
        decode<std::vector<std::pair<std::vector<double>, std::string>>>(in);
    } catch (const decode_error&) {
    }
    require(in.bytes_in_blocks() <= 4'096);
}

void throw_and_travel(std::span<const std::byte> bytes) {
    decoder in(bytes);
    const std::exception_ptr error = decode_exception(in);
    require(error != nullptr);
    encoder out;
    encode_exception(out, error);
    decoder again(out.buffer().bytes());
    require(decode_exception(again) != nullptr);
    again.expect_end();
}

constexpr auto add = [](int a, const std::string& b) { return a + static_cast<int>(b.size()); };

/// A request whose reference may be to anywhere in this program. Not one with a pointer to a function, which is called
/// wherever in the code it points: requests come from the program itself, and answers have no such pointers.
void call(std::span<const std::byte> bytes) {
    encoder whole;
    remote_call_of<decltype(add), int, std::string>::encode_request(whole, add, 1, std::string("two"));
    // What is made up changes everything but the id of the module, which could not be guessed.
    auto& request = whole.buffer();
    constexpr std::size_t id = sizeof(module_id);
    for (std::size_t i = 0; i < bytes.size() && id + i < request.size(); ++i) request.data()[id + i] ^= bytes[i];
    decoder in(request.bytes());
    encoder result;
    run_request(in, result);
}

void resolve(fuzz_input input) {
    auto reference = reference_to(reinterpret_cast<const void*>(&LLVMFuzzerTestOneInput));
    reference.offset ^= input.take<std::uint64_t>();
    if ((input.take<std::uint8_t>() & 1U) != 0)
        reference.module.bytes[input.take<std::uint8_t>() % sizeof(module_id)] ^= std::uint8_t{1};
    require(resolve_code(reference) != nullptr);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    fuzz_input input(data, size);
    const auto type = input.take<std::uint8_t>();
    const auto bytes = input.rest();
    try {
        switch (type % 16) {
            case 0:
                round_trip<record>(bytes);
                break;
            case 1:
                round_trip<tree>(bytes);
                break;
            case 2:
                round_trip<chain>(bytes);
                break;
            case 3:
                round_trip<std::vector<either>>(bytes);
                break;
            case 4:
                round_trip<std::map<std::string, mixed>>(bytes);
                break;
            case 5:
                round_trip<std::vector<std::vector<double>>>(bytes);
                break;
            case 6:
                round_trip<std::unordered_map<std::uint64_t, std::list<std::string>>>(bytes);
                break;
            case 7:
                round_trip<std::vector<bool>>(bytes);
                break;
            case 8:
                round_trip<std::deque<std::set<std::pair<int, std::string>>>>(bytes);
                break;
            case 9:
                round_trip<std::vector<std::optional<std::vector<empty>>>>(bytes);
                break;
            case 10:
                read_from_block(bytes);
                break;
            case 11:
            case 12:
                throw_and_travel(bytes);
                break;
            case 13:
                resolve({data, size});
                break;
            default:
                call(bytes);
                break;
        }
    } catch (const decode_error&) {
    }
    return 0;
}
