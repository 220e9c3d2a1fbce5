#pragma once

#include <utility>

namespace tercet::asyncio {

/// Something that runs on the loop soon. Intrusive: it stands in at most one queue, and nothing is allocated for it.
struct ready_node {
    /// `discard` says that the loop ends: free what belongs to the node, run nothing.
    enum class reason : unsigned char { run, discard };
    using function = void (*)(ready_node& self, reason why) noexcept;

    explicit constexpr ready_node(function run) noexcept : go(run) {}

    function go;
    ready_node* next = nullptr;
};

/// First in, first out. One thread.
class ready_queue {
public:
    bool empty() const noexcept { return head_ == nullptr; }
    /// The oldest; null when empty.
    ready_node* first() const noexcept { return head_; }

    void push(ready_node& node) noexcept {
        node.next = nullptr;
        *tail_ = &node;
        tail_ = &node.next;
    }

    /// Null when empty.
    ready_node* pop() noexcept {
        ready_node* const node = head_;
        if (node) {
            head_ = node->next;
            if (!head_) tail_ = &head_;
        }
        return node;
    }

    /// Takes over a list that is linked by `next`, oldest first.
    void append(ready_node* list) noexcept {
        if (!list) return;
        *tail_ = list;
        while (list->next) list = list->next;
        tail_ = &list->next;
    }

    /// Empties the queue: what was in it, oldest first, linked by `next`.
    ready_node* take() noexcept {
        tail_ = &head_;
        return std::exchange(head_, nullptr);
    }

    ready_queue() noexcept = default;
    ready_queue(const ready_queue&) = delete;
    ready_queue& operator=(const ready_queue&) = delete;

private:
    ready_node* head_ = nullptr;
    ready_node** tail_ = &head_;
};

}  // namespace tercet::asyncio
