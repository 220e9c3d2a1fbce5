// A pairing heap: a tree in which no node is before its parent, children in a list. Two trees meld by making the later
// root the first child of the earlier. Taking the root out melds its children in pairs from the left, then the pairs
// from the right: amortised O(log n). Both passes are loops, since a root may have a million children.
//
// The slack of a node is that of its tree: how long after its own deadline no deadline in there, with what that has
// been granted, has passed. Melding keeps it; who leaves from the middle may leave it too small behind, which costs a
// look.
//
// Every node knows the pointer that points at it, so that it can be cut out from anywhere; null means not queued.

#include <tercet/asyncio/timer_queue.hpp>

namespace tercet::asyncio {

/// Both are roots that nothing points at; the result too.
timer_node* timer_queue::meld(timer_node* a, timer_node* b) noexcept {
    if (!a) return b;
    if (!b) return a;
    if (is_before(*b, *a)) {
        timer_node* const earlier = b;
        b = a;
        a = earlier;
    }
    const auto latest = (b->deadline_ - a->deadline_).count() + static_cast<std::int64_t>(b->slack_);
    if (latest < static_cast<std::int64_t>(a->slack_)) a->slack_ = static_cast<std::uint32_t>(latest);
    b->sibling_ = a->child_;
    if (b->sibling_) b->sibling_->link_ = &b->sibling_;
    b->link_ = &a->child_;
    a->child_ = b;
    return a;
}

timer_node* timer_queue::meld_all(timer_node* first) noexcept {
    timer_node* pairs = nullptr;  // linked by sibling_, the last pair first
    while (first) {
        timer_node* const a = first;
        timer_node* const b = a->sibling_;
        first = b ? b->sibling_ : nullptr;
        a->sibling_ = nullptr;
        if (b) b->sibling_ = nullptr;
        timer_node* const pair = meld(a, b);
        pair->sibling_ = pairs;
        pairs = pair;
    }
    timer_node* root = nullptr;
    while (pairs) {
        timer_node* const pair = pairs;
        pairs = pair->sibling_;
        pair->sibling_ = nullptr;
        root = meld(root, pair);
    }
    return root;
}

void timer_queue::set_root(timer_node* root) noexcept {
    root_ = root;
    if (root_) root_->link_ = &root_;
}

void timer_queue::add(timer_node& node, time_point deadline, std::chrono::nanoseconds slack) noexcept {
    node.deadline_ = deadline;
    node.slack_ = static_cast<std::uint32_t>(slack.count());
    node.sequence_ = next_sequence_++;
    set_root(meld(root_, &node));
}

void timer_queue::cancel(timer_node& node) noexcept {
    if (!node.is_queued()) return;
    if (&node == root_) {
        pop();
        return;
    }
    *node.link_ = node.sibling_;
    if (node.sibling_) node.sibling_->link_ = node.link_;
    timer_node* const orphans = meld_all(node.child_);
    node.child_ = node.sibling_ = nullptr;
    node.link_ = nullptr;
    set_root(meld(root_, orphans));
}

timer_node* timer_queue::pop() noexcept {
    timer_node* const first = root_;
    if (!first) return nullptr;
    set_root(meld_all(first->child_));
    first->child_ = nullptr;
    first->link_ = nullptr;
    return first;
}

void timer_queue::expire(time_point now) noexcept {
    while (root_ && root_->deadline_ <= now) {
        timer_node* const node = pop();
        node->expire_(*node);
    }
}

}  // namespace tercet::asyncio
