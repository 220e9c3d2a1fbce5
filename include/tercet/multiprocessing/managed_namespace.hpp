#pragma once

#include <tercet/multiprocessing/encoded_value.hpp>
#include <tercet/multiprocessing/proxy.hpp>

#include <map>
#include <string>
#include <utility>
#include <vector>

namespace tercet::multiprocessing {

namespace served {

/// Values of any types, by their names.
class attributes {
public:
    encoded_value get(const std::string& name) const;
    void set(std::string name, encoded_value value) { all_.insert_or_assign(std::move(name), std::move(value)); }
    bool erase(const std::string& name) { return all_.erase(name) != 0; }
    bool contains(const std::string& name) const { return all_.contains(name); }
    std::vector<std::string> names() const;

private:
    std::map<std::string, encoded_value> all_;
};

}  // namespace served

/// Python's `Namespace` in a manager: attributes of any types. Any thread.
///
///     shared.set("title", std::string("Report"));    shared.get<std::string>("title");
class namespace_proxy : public proxy<served::attributes> {
public:
    using proxy<served::attributes>::proxy;

    /// Throws `std::out_of_range` when there is none of that name, `decode_error` when it is no `T`.
    template <class T>
    T get(const std::string& name) const {
        return call<&served::attributes::get>(name).template get<T>();
    }
    /// A string literal as a `std::string`.
    template <class T>
    void set(const std::string& name, const T& value) const {
        call<&served::attributes::set>(name, encoded_value::of(sent_t<const T&>(value)));
    }
    /// Returns whether it was there.
    bool erase(const std::string& name) const { return call<&served::attributes::erase>(name); }
    /// There is a value of that name.
    bool contains(const std::string& name) const { return call<&served::attributes::contains>(name); }
    /// All names, in alphabetical order.
    std::vector<std::string> names() const { return call<&served::attributes::names>(); }
};

}  // namespace tercet::multiprocessing
