#pragma once

#include <tercet/multiprocessing/codec.hpp>
#include <tercet/multiprocessing/type_hash.hpp>
#include <tercet/multiprocessing/unique_fd.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

namespace tercet::multiprocessing {

/// A value of any type in the form in which it travels, with the file descriptors that go with it. Copies share them.
class encoded_value {
public:
    encoded_value() = default;
    template <class T>
    static encoded_value of(const T& value) {
        encoder out;
        encode(out, value);
        encoded_value made;
        made.type_ = type_hash<T>;
        const auto bytes = out.buffer().bytes();
        made.bytes_.assign(bytes.begin(), bytes.end());
        if (auto descriptors = out.take_descriptors(); !descriptors.empty())
            made.descriptors_ = std::make_shared<const std::vector<unique_fd>>(std::move(descriptors));
        return made;
    }

    /// Throws `decode_error` when it was no `T`.
    template <class T>
    T get() const {
        if (type_ != type_hash<T>) throw_bad_value("the type of a value", type_);
        auto descriptors = duplicates();
        decoder in(bytes_, descriptors);
        T value = decode<T>(in);
        in.expect_end();
        return value;
    }

    template <class Archive>
    void serialize(Archive& archive) {
        std::size_t count = descriptors_ ? descriptors_->size() : 0;
        archive(type_, bytes_, count);
        if constexpr (Archive::is_saving)
            for (std::size_t i = 0; i < count; ++i) archive.write_descriptor((*descriptors_)[i].get());
        else
            read_descriptors(archive, count);
    }

private:
    std::vector<unique_fd> duplicates() const;
    void read_descriptors(decoder& in, std::size_t count);

    std::uint64_t type_ = 0;
    std::vector<std::byte> bytes_;
    std::shared_ptr<const std::vector<unique_fd>> descriptors_;
};

}  // namespace tercet::multiprocessing
