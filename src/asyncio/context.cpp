// The values of a context are one immutable block that contexts share, each variable once, in no order: programs have a
// handful. Setting one copies the block. So a new task costs one count, and nothing where no variable was ever set; and
// a copy never changes with its original. The count is atomic, since contexts go to other threads.
//
// The current context lies in the task that runs; while none does, in the thread. A loop that runs begins with an empty
// one in the place of the thread's, and callbacks bring their own.

#include <tercet/asyncio/context.hpp>
#include <tercet/asyncio/event_loop.hpp>
#include <tercet/asyncio/task_base.hpp>

#include <fmt/format.h>

#include <atomic>
#include <vector>

namespace tercet::asyncio {

struct context_values {
    struct entry {
        std::uint64_t variable;
        std::shared_ptr<const void> value;
    };
    std::vector<entry> entries;
    mutable std::atomic<std::uint32_t> references{1};
};

namespace {

thread_local context context_of_thread;
std::atomic<std::uint64_t> next_number{1};

}  // namespace

// Not inlined: see get_running_loop.
[[gnu::noinline]] context& context::current_slot() noexcept {
    if (const event_loop* const loop = find_running_loop())
        if (task_base* const task = loop->current_task()) return task->context();
    return context_of_thread;
}

context context::current() noexcept { return current_slot(); }

void context::add_reference() const noexcept { values_->references.fetch_add(1, std::memory_order_relaxed); }

void context::release() noexcept {
    if (values_->references.fetch_sub(1, std::memory_order_acq_rel) == 1) delete values_;
}

context::entered::entered(context& inside) noexcept : inside_(inside), current_(current_slot()) {
    std::swap(inside_.values_, current_.values_);
}

context::entered::~entered() { std::swap(inside_.values_, current_.values_); }

context_variable::context_variable(std::string name)
    : name_(std::move(name)), number_(next_number.fetch_add(1, std::memory_order_relaxed)) {}

std::shared_ptr<const void> context_variable::find() const noexcept {
    if (const context_values* const values = context::current_slot().values_)
        for (const auto& each : values->entries)
            if (each.variable == number_) return each.value;
    return nullptr;
}

std::shared_ptr<const void> context_variable::exchange(std::shared_ptr<const void> value) const {
    context& current = context::current_slot();
    std::shared_ptr<const void> before;
    auto changed = std::make_unique<context_values>();
    if (current.values_) {
        changed->entries.reserve(current.values_->entries.size() + 1);
        for (const auto& each : current.values_->entries) {
            if (each.variable == number_)
                before = each.value;
            else
                changed->entries.push_back(each);
        }
    }
    if (value) changed->entries.push_back({number_, std::move(value)});
    context result;
    if (!changed->entries.empty()) result.values_ = changed.release();
    current = std::move(result);
    return before;
}

void context_variable::throw_unset() const {
    throw invalid_state_error(fmt::format("context_var {}: it was not set and has no default", name_));
}

}  // namespace tercet::asyncio
