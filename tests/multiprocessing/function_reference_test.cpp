#include <tercet/multiprocessing/errors.hpp>
#include <tercet/multiprocessing/function_reference.hpp>
#include <tercet/multiprocessing/remote_call.hpp>

#include <gtest/gtest.h>

#include <cstdlib>
#include <memory>
#include <stdexcept>

namespace tercet::multiprocessing {
namespace {

int twice(int x) { return 2 * x; }

int data = 1;

constexpr remote_function valid{remote_function::expected_magic, 42, [](decoder&, encoder&) {}};
constexpr remote_function without_magic{1, 42, [](decoder&, encoder&) {}};
const remote_function not_code{remote_function::expected_magic, 42,
                               reinterpret_cast<void (*)(decoder&, encoder&)>(&data)};

TEST(function_reference, names_the_same_function_again) {
    const auto reference = reference_to(reinterpret_cast<const void*>(&twice));
    EXPECT_EQ(resolve_code(reference), reinterpret_cast<void*>(&twice));
}

TEST(function_reference, functions_of_shared_libraries_have_their_module) {
    const auto ours = reference_to(reinterpret_cast<const void*>(&twice));
    const auto theirs = reference_to(reinterpret_cast<const void*>(&std::abort));
    EXPECT_EQ(resolve_code(theirs), reinterpret_cast<void*>(&std::abort));
    EXPECT_NE(ours.module, module_id{});
}

TEST(function_reference, an_address_in_no_module_is_refused) {
    const auto heap = std::make_unique<int>(1);
    EXPECT_THROW(reference_to(heap.get()), std::invalid_argument);
    EXPECT_THROW(reference_to(nullptr), std::invalid_argument);
}

TEST(function_reference, another_build_is_refused_by_name) {
    auto reference = reference_to(&valid);
    reference.module.bytes[5] ^= 0xff;
    try {
        resolve_remote_function(reference, 42);
        FAIL();
    } catch (const decode_error& e) {
        EXPECT_NE(std::string(e.what()).find("is not loaded in this process"), std::string::npos) << e.what();
    }
}

TEST(function_reference, only_code_is_called) {
    EXPECT_THROW(resolve_code(reference_to(&data)), decode_error);
    auto reference = reference_to(reinterpret_cast<const void*>(&twice));
    reference.offset = 0xffff'ffff'ffff;
    EXPECT_THROW(resolve_code(reference), decode_error);
    reference.offset = ~std::uint64_t{0};
    EXPECT_THROW(resolve_code(reference), decode_error);
}

TEST(function_reference, a_remote_function_shows_its_mark_and_signature) {
    EXPECT_EQ(&resolve_remote_function(reference_to(&valid), 42), &valid);
    EXPECT_THROW(resolve_remote_function(reference_to(&valid), 43), decode_error);
    EXPECT_THROW(resolve_remote_function(reference_to(&without_magic), 42), decode_error);
    EXPECT_THROW(resolve_remote_function(reference_to(&not_code), 42), decode_error);
    EXPECT_THROW(resolve_remote_function(reference_to(&data), 42), decode_error);
    auto reference = reference_to(&valid);
    reference.offset += 1;
    EXPECT_THROW(resolve_remote_function(reference, 42), decode_error);
}

TEST(function_reference, hostile_requests_do_not_run) {
    encoder out;
    remote_call_of<int (*)(int), int>::encode_request(out, &twice, 21);
    encoder answer;
    decoder whole(out.buffer().bytes());
    run_request(whole, answer);
    decoder in(answer.buffer().bytes());
    EXPECT_EQ((remote_call_of<int (*)(int), int>::decode_result(in)), 42);
    for (std::size_t size = 0; size < out.buffer().size(); ++size) {
        decoder cut(out.buffer().bytes().first(size));
        encoder ignored;
        EXPECT_THROW(run_request(cut, ignored), decode_error) << size;
    }
    out.write_raw('x');
    decoder longer(out.buffer().bytes());
    EXPECT_THROW(run_request(longer, answer), decode_error);
}

TEST(remote_call, a_result_of_another_type_is_refused) {
    encoder out;
    remote_call_of<int (*)(int), int>::encode_request(out, &twice, 21);
    encoder answer;
    decoder request(out.buffer().bytes());
    run_request(request, answer);
    decoder in(answer.buffer().bytes());
    using other = remote_call_of<long (*)(int), int>;
    EXPECT_THROW(other::decode_result(in), decode_error);
}

}  // namespace
}  // namespace tercet::multiprocessing
