#pragma once

#include <tercet/multiprocessing/proxy.hpp>

#include <cstddef>
#include <map>
#include <optional>
#include <utility>
#include <vector>

namespace tercet::multiprocessing {

namespace detail {
[[noreturn]] void throw_no_key(const char* call);
}

/// Python's dict in a manager, in the order of its keys. Each call is made in one go; what takes several, as
/// `counts[word] += 1` does, is `apply([](std::map<std::string, int>& all, std::string w) { ++all[w]; }, word)`.
/// Any thread.
template <class Key, class T>
class dict_proxy : public proxy<std::map<Key, T>> {
    using items_type = std::map<Key, T>;

public:
    using proxy<items_type>::proxy;

    /// How many keys there are.
    std::size_t size() const {
        return this->apply([](const items_type& all) { return all.size(); });
    }
    /// There are no keys.
    bool empty() const { return size() == 0; }
    /// The key is there.
    bool contains(const Key& key) const {
        return this->apply([](const items_type& all, Key k) { return all.contains(k); }, key);
    }

    /// Throws `std::out_of_range` when the key is not there.
    T get(const Key& key) const {
        return this->apply([](items_type& all, Key k) -> T { return find("get", all, k)->second; }, key);
    }
    /// As `get`: a copy, through which nothing is changed.
    T operator[](const Key& key) const { return get(key); }
    /// `otherwise` when the key is not there.
    T get(const Key& key, const T& otherwise) const {
        return this->apply(
            [](const items_type& all, Key k, T other) -> T {
                const auto found = all.find(k);
                return found == all.end() ? std::move(other) : found->second;
            },
            key, otherwise);
    }
    /// Puts `item` there, in the place of another if there is one.
    void set(const Key& key, const T& item) const {
        this->apply([](items_type& all, Key k, T next) { all.insert_or_assign(std::move(k), std::move(next)); }, key,
                    item);
    }
    /// What is there, after `item` was put there if nothing was.
    T setdefault(const Key& key, const T& item) const {
        return this->apply([](items_type& all, Key k,
                              T next) -> T { return all.try_emplace(std::move(k), std::move(next)).first->second; },
                           key, item);
    }
    /// Puts all of `more` there, in one go.
    void update(const items_type& more) const {
        this->apply(
            [](items_type& all, items_type next) {
                for (auto& [key, item] : next) all.insert_or_assign(key, std::move(item));
            },
            more);
    }
    /// Takes it away. Throws `std::out_of_range` when the key is not there.
    T pop(const Key& key) const {
        return this->apply(
            [](items_type& all, Key k) -> T {
                const auto found = find("pop", all, k);
                T taken = std::move(found->second);
                all.erase(found);
                return taken;
            },
            key);
    }
    /// Returns whether it was there.
    bool erase(const Key& key) const {
        return this->apply([](items_type& all, Key k) { return all.erase(k) != 0; }, key);
    }
    /// Takes all keys away.
    void clear() const {
        this->apply([](items_type& all) { all.clear(); });
    }

    // Of one moment.
    /// All keys with what they have.
    items_type items() const {
        return this->apply([](const items_type& all) { return all; });
    }
    /// The keys, in their order.
    std::vector<Key> keys() const {
        return this->apply([](const items_type& all) {
            std::vector<Key> keys;
            for (const auto& each : all) keys.push_back(each.first);
            return keys;
        });
    }
    /// What they have, in the order of the keys.
    std::vector<T> values() const {
        return this->apply([](const items_type& all) {
            std::vector<T> values;
            for (const auto& each : all) values.push_back(each.second);
            return values;
        });
    }

private:
    static auto find(const char* call, items_type& all, const Key& key) {
        const auto found = all.find(key);
        if (found == all.end()) detail::throw_no_key(call);
        return found;
    }
};

}  // namespace tercet::multiprocessing
