// An exception is written as: the mangled name of its exact type, that name for people, what(), and then, when the type
// has a codec, the size and the bytes of what the codec wrote; and then what is nested in it, in the same way. Type and
// text always come first, so that a receiver without the codec still has a remote_error to offer.
//
// The table of codecs is a function's static object that is never destroyed: registrations come from static objects of
// the program, before anything else may be relied upon.

#include <tercet/futures/errors.hpp>
#include <tercet/multiprocessing/errors.hpp>
#include <tercet/multiprocessing/remote_exception.hpp>

#include <cxxabi.h>
#include <fmt/format.h>

#include <any>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <new>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <typeinfo>
#include <unordered_map>
#include <variant>
#include <vector>

namespace tercet::multiprocessing {

namespace {

std::string readable(const char* mangled) {
    int status = 0;
    const std::unique_ptr<char, decltype(&std::free)> name(abi::__cxa_demangle(mangled, nullptr, nullptr, &status),
                                                           &std::free);
    return status == 0 ? name.get() : mangled;
}

/// `what()` of a `system_error` is "text: message of the code"; the constructor wants the text alone.
std::string text_before(const std::string& what, const std::string& ending) {
    if (what == ending) return {};
    const std::string tail = ": " + ending;
    return what.ends_with(tail) ? what.substr(0, what.size() - tail.size()) : what;
}

void encode_code(encoder& out, const std::error_code& code) {
    encode(out, std::string(code.category().name()));
    encode(out, code.value());
}

std::optional<std::error_code> decode_code(decoder& in) {
    const auto category = decode<std::string>(in);
    const int value = decode<int>(in);
    if (category == std::system_category().name()) return std::error_code(value, std::system_category());
    if (category == std::generic_category().name()) return std::error_code(value, std::generic_category());
    return std::nullopt;
}

/// An exception that is rebuilt from its text.
template <class E>
exception_codec by_text() {
    return {[](encoder& out, const std::exception& error) { encode(out, std::string(error.what())); },
            [](decoder& in) { return std::make_exception_ptr(E(decode<std::string>(in))); }, &with_nested<E>};
}

/// An exception that has nothing of its own to say.
template <class E>
exception_codec by_type() {
    return {[](encoder&, const std::exception&) {}, [](decoder&) { return std::make_exception_ptr(E()); },
            &with_nested<E>};
}

exception_codec of_system_error() {
    return {
        [](encoder& out, const std::exception& error) {
            const auto& code = dynamic_cast<const std::system_error&>(error).code();
            encode_code(out, code);
            encode(out, text_before(error.what(), code.message()));
        },
        [](decoder& in) -> std::exception_ptr {
            const auto code = decode_code(in);
            const auto text = decode<std::string>(in);
            if (!code) return nullptr;
            return std::make_exception_ptr(text.empty() ? std::system_error(*code) : std::system_error(*code, text));
        },
        &with_nested<std::system_error>};
}

exception_codec of_filesystem_error() {
    using std::filesystem::filesystem_error;
    return {[](encoder& out, const std::exception& error) {
                const auto& failure = dynamic_cast<const filesystem_error&>(error);
                encode_code(out, failure.code());
                // what() is "filesystem error: text: message [path] [path]"
                std::string text = failure.std::system_error::what();
                if (const auto end = text.find(": " + failure.code().message()); end != std::string::npos)
                    text.resize(end);
                if (constexpr std::string_view start = "filesystem error: "; text.starts_with(start))
                    text.erase(0, start.size());
                encode(out, text);
                encode(out, failure.path1());
                encode(out, failure.path2());
            },
            [](decoder& in) -> std::exception_ptr {
                const auto code = decode_code(in);
                const auto text = decode<std::string>(in);
                const auto first = decode<std::filesystem::path>(in);
                const auto second = decode<std::filesystem::path>(in);
                if (!code) return nullptr;
                if (!second.empty()) return std::make_exception_ptr(filesystem_error(text, first, second, *code));
                if (!first.empty()) return std::make_exception_ptr(filesystem_error(text, first, *code));
                return std::make_exception_ptr(filesystem_error(text, *code));
            },
            &with_nested<filesystem_error>};
}

exception_codec of_worker_died() {
    return {[](encoder& out, const std::exception& error) {
                const auto& death = dynamic_cast<const worker_died&>(error);
                encode(out, std::string(death.what()));
                out(death.pid(), death.signal(), death.exit_code());
            },
            [](decoder& in) {
                const auto text = decode<std::string>(in);
                int pid = 0;
                int signal = 0;
                int exit_code = 0;
                in(pid, signal, exit_code);
                return std::make_exception_ptr(worker_died(text, pid, signal, exit_code));
            },
            &with_nested<worker_died>};
}

exception_codec of_remote_error() {
    return {[](encoder& out, const std::exception& error) {
                const auto& failure = dynamic_cast<const remote_error&>(error);
                out(failure.type_name(), std::string(failure.what()));
            },
            [](decoder& in) {
                std::string type;
                std::string text;
                in(type, text);
                return std::make_exception_ptr(remote_error(std::move(type), text));
            },
            &with_nested<remote_error>};
}

exception_codec of_exception_group() {
    return {[](encoder& out, const std::exception& error) {
                const auto& group = dynamic_cast<const exception_group&>(error);
                const std::string what = group.what();
                const std::string head = what.substr(0, what.find('\n'));
                encode(out, head.substr(0, head.rfind(" (")));
                out.write_count(group.errors().size());
                for (const auto& each : group.errors()) encode_exception(out, each);
            },
            [](decoder& in) {
                const auto message = decode<std::string>(in);
                const std::size_t count = in.read_count();
                std::vector<std::exception_ptr> errors;
                for (std::size_t i = 0; i < count; ++i) errors.push_back(decode_exception(in));
                if (errors.empty()) throw decode_error("decode: an exception group without errors");
                return std::make_exception_ptr(exception_group(message, std::move(errors)));
            },
            &with_nested<exception_group>};
}

class codec_table {
public:
    static codec_table& instance() {
        static auto* const table = new codec_table;
        return *table;
    }

    void lock() { mutex_.lock(); }
    void unlock() { mutex_.unlock(); }

    void add(const std::type_info& type, exception_codec codec) {
        const std::lock_guard lock(mutex_);
        codecs_[type.name()] = codec;
    }

    std::optional<exception_codec> find(const std::string& name) const {
        const std::lock_guard lock(mutex_);
        const auto found = codecs_.find(name);
        return found == codecs_.end() ? std::nullopt : std::optional(found->second);
    }

private:
    codec_table() {
        add(typeid(std::exception), by_type<std::exception>());
        add(typeid(std::bad_alloc), by_type<std::bad_alloc>());
        add(typeid(std::bad_array_new_length), by_type<std::bad_array_new_length>());
        add(typeid(std::bad_cast), by_type<std::bad_cast>());
        add(typeid(std::bad_any_cast), by_type<std::bad_any_cast>());
        add(typeid(std::bad_typeid), by_type<std::bad_typeid>());
        add(typeid(std::bad_function_call), by_type<std::bad_function_call>());
        add(typeid(std::bad_optional_access), by_type<std::bad_optional_access>());
        add(typeid(std::bad_variant_access), by_type<std::bad_variant_access>());
        add(typeid(std::logic_error), by_text<std::logic_error>());
        add(typeid(std::invalid_argument), by_text<std::invalid_argument>());
        add(typeid(std::domain_error), by_text<std::domain_error>());
        add(typeid(std::length_error), by_text<std::length_error>());
        add(typeid(std::out_of_range), by_text<std::out_of_range>());
        add(typeid(std::runtime_error), by_text<std::runtime_error>());
        add(typeid(std::range_error), by_text<std::range_error>());
        add(typeid(std::overflow_error), by_text<std::overflow_error>());
        add(typeid(std::underflow_error), by_text<std::underflow_error>());
        add(typeid(std::system_error), of_system_error());
        add(typeid(std::filesystem::filesystem_error), of_filesystem_error());
        add(typeid(cancelled_error), by_text<cancelled_error>());
        add(typeid(timeout_error), by_text<timeout_error>());
        add(typeid(invalid_state_error), by_text<invalid_state_error>());
        add(typeid(executor_shutdown), by_text<executor_shutdown>());
        add(typeid(queue_full), by_text<queue_full>());
        add(typeid(broken_executor), by_text<broken_executor>());
        add(typeid(broken_process_pool), by_text<broken_process_pool>());
        add(typeid(decode_error), by_text<decode_error>());
        add(typeid(queue_empty), by_text<queue_empty>());
        add(typeid(eof_error), by_text<eof_error>());
        add(typeid(authentication_error), by_text<authentication_error>());
        add(typeid(process_start_error), by_text<process_start_error>());
        add(typeid(manager_died), by_text<manager_died>());
        add(typeid(broken_barrier_error), by_text<broken_barrier_error>());
        add(typeid(queue_shutdown), by_text<queue_shutdown>());
        add(typeid(worker_died), of_worker_died());
        add(typeid(remote_error), of_remote_error());
        add(typeid(exception_group), of_exception_group());
    }

    mutable std::mutex mutex_;
    std::unordered_map<std::string, exception_codec> codecs_;
};

[[gnu::constructor(101)]] void prepare_for_forks() {
    ::pthread_atfork([] { codec_table::instance().lock(); }, [] { codec_table::instance().unlock(); },
                     [] { codec_table::instance().unlock(); });
}

/// The type of which `error` was thrown. That of std::throw_with_nested(E()) has no name; its bases are E and
/// std::nested_exception.
const std::type_info& thrown_type(const std::exception& error, bool is_nested) {
    const auto* const type = is_nested ? dynamic_cast<const abi::__vmi_class_type_info*>(&typeid(error)) : nullptr;
    if (!type || type->__base_count != 2 || *type->__base_info[1].__base_type != typeid(std::nested_exception) ||
        !std::string_view(type->name()).starts_with("St17_Nested_exception"))
        return typeid(error);
    return *type->__base_info[0].__base_type;
}

constexpr int most_nested = 32;  // what lies deeper is left out

void encode_one(encoder& out, const std::exception_ptr& error, int most);

void encode_known(encoder& out, const std::exception& error, int most) {
    const auto* const nesting_one = dynamic_cast<const std::nested_exception*>(&error);
    const std::string name = thrown_type(error, nesting_one != nullptr).name();
    out(name, readable(name.c_str()), std::string(error.what()));
    encoder details;
    details.depth() = out.depth();
    bool has_details = false;
    if (const auto codec = codec_table::instance().find(name)) {
        try {
            codec->encode(details, error);
            has_details = true;
        } catch (...) {  // NOLINT(bugprone-empty-catch): its type and text must do
        }
    }
    encode(out, has_details);
    out.write_count(has_details ? details.buffer().size() : 0);
    if (has_details) out.write(details.buffer().data(), details.buffer().size());
    const std::exception_ptr nested = nesting_one && most > 0 ? nesting_one->nested_ptr() : nullptr;
    encode(out, nested != nullptr);
    if (nested) encode_one(out, nested, most - 1);
}

void encode_one(encoder& out, const std::exception_ptr& error, int most) {
    const nesting guard(out.depth());
    try {
        std::rethrow_exception(error);
    } catch (const std::exception& e) {
        encode_known(out, e, most);
    } catch (...) {
        const std::type_info* const type = abi::__cxa_current_exception_type();
        const std::string name = type ? readable(type->name()) : "an unknown type";
        out(std::string(), name, fmt::format("an exception of type {}", name), false);
        out.write_count(0);
        encode(out, false);
    }
}

}  // namespace

void register_exception_codec(const std::type_info& type, exception_codec codec) {
    codec_table::instance().add(type, codec);
}

void encode_exception(encoder& out, const std::exception_ptr& error) { encode_one(out, error, most_nested); }

std::exception_ptr decode_exception(decoder& in) {
    const nesting guard(in.depth());
    std::string mangled;
    std::string name;
    std::string what;
    bool has_details = false;
    in(mangled, name, what, has_details);
    const std::size_t size = in.read_count();
    decoder details({in.take(size), size});
    details.depth() = in.depth();
    const auto codec = has_details ? codec_table::instance().find(mangled) : std::nullopt;
    std::exception_ptr error;
    auto nest = &with_nested<remote_error>;
    if (codec) {
        try {
            error = codec->decode(details);
            if (error) nest = codec->nest;
        } catch (const std::bad_alloc&) {
            throw;
        } catch (...) {  // NOLINT(bugprone-empty-catch): its type and text must do
        }
    }
    if (!error) error = std::make_exception_ptr(remote_error(std::move(name), what));
    if (!decode<bool>(in)) return error;
    const std::exception_ptr nested = decode_exception(in);
    if (!nest) return error;
    try {
        return nest(error, nested);
    } catch (const std::bad_alloc&) {
        throw;
    } catch (...) {  // a copy could not be made: without what was nested
        return error;
    }
}

}  // namespace tercet::multiprocessing
