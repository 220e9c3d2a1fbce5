// Nothing is written down for this while tasks run but what an await stores anyway: where it stands, and who awaits.
// From a task that waits one comes to its suspension, from there to the innermost coroutine, and outwards. Those that
// are ready stand in the queue.
//
// The tree is written without recursion, since a chain of tasks may be long. It begins with the tasks that nobody
// awaits; what is left then is reached through circles only. Circles are found by a depth-first search: an await that
// leads back to a task on the way down closes one.

#include <tercet/asyncio/call_graph.hpp>
#include <tercet/asyncio/coro.hpp>
#include <tercet/asyncio/event_loop.hpp>
#include <tercet/asyncio/suspension.hpp>
#include <tercet/asyncio/task_base.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <string_view>
#include <unordered_map>

namespace tercet::asyncio {

namespace {

using innermost_of = std::unordered_map<const task_base*, promise_base*>;

innermost_of ready_coroutines(const event_loop& loop) {
    innermost_of found;
    for (ready_node* node = loop.first_ready(); node; node = node->next)
        if (promise_base* const coroutine = promise_base::of(*node)) found[coroutine->task()] = coroutine;
    return found;
}

std::vector<std::source_location> call_stack_from(const promise_base* coroutine) {
    std::vector<std::source_location> stack;
    for (; coroutine; coroutine = coroutine->awaiter())
        if (coroutine->where().line() != 0) stack.push_back(coroutine->where());
    return stack;
}

call_graph_entry entry_of(task_base& task, const event_loop& loop, const innermost_of& ready, task_search search) {
    const suspension* const wait = task.waits_on();
    call_graph_entry entry{.number = task.number(),
                           .name = task.name(),
                           .is = call_graph_entry::state::ready,
                           .is_cancelled = task.is_cancel_due(),
                           .created_at = task.created_at(),
                           .call_stack = {},
                           .awaits = {}};
    if (wait) {
        entry.is = call_graph_entry::state::waiting;
        entry.call_stack = call_stack_from(wait->waiter());
        wait->name_awaited(search);
        while (const task_base* const awaited = search.take())
            if (!awaited->is_done()) entry.awaits.push_back(awaited->number());
        std::ranges::sort(entry.awaits);
    } else if (&task == loop.current_task()) {
        entry.is = call_graph_entry::state::running;
        entry.call_stack = call_stack_from(task.outermost());
    } else if (const auto found = ready.find(&task); found != ready.end()) {
        entry.call_stack = call_stack_from(found->second);
    }
    return entry;
}

/// g++ names what it makes of a coroutine, "void fetch(fetch(int)::_Z5fetchi.Frame*)": without that, "fetch".
std::string_view function_of(const std::source_location& where) {
    constexpr std::string_view begin = "void ";
    const std::string_view name = where.function_name();
    if (!name.ends_with(".Frame*)") || !name.starts_with(begin)) return name;
    int depth = 0;
    for (std::size_t at = name.size(); at-- > begin.size();) {
        depth += name[at] == ')' ? 1 : name[at] == '(' ? -1 : 0;
        if (depth == 0) return name.substr(begin.size(), at - begin.size());
    }
    return name;
}

/// Writes a call graph.
class graph_writer {
public:
    explicit graph_writer(const call_graph& graph) : graph_(graph), is_written_(graph.size()) {
        for (std::size_t i = 0; i < graph.size(); ++i) places_.emplace(graph[i].number, i);
    }

    std::string write() {
        write_circles();
        std::vector<bool> is_awaited(graph_.size());
        for (const call_graph_entry& each : graph_)
            for (const std::size_t awaited : awaited_by(each)) is_awaited[awaited] = true;
        for (std::size_t i = 0; i < graph_.size(); ++i)
            if (!is_awaited[i]) write_tree(i);
        for (std::size_t i = 0; i < graph_.size(); ++i)  // in circles, or awaited only by those
            if (!is_written_[i]) write_tree(i);
        return std::move(text_);
    }

private:
    struct branch {
        std::size_t task;
        std::string indent;  // before the lines of its parent's other children
        bool is_last;
        bool is_root;
    };
    struct step {
        std::size_t task;
        std::size_t next_child;
    };

    /// Their places in the graph.
    std::vector<std::size_t> awaited_by(const call_graph_entry& task) const {
        std::vector<std::size_t> found;
        for (const std::uint64_t number : task.awaits)
            if (const auto place = places_.find(number); place != places_.end()) found.push_back(place->second);
        return found;
    }

    void write_circles() {
        enum class mark : std::uint8_t { unseen, on_the_way, seen };
        std::vector<mark> marks(graph_.size(), mark::unseen);
        for (std::size_t begin = 0; begin < graph_.size(); ++begin) {
            if (marks[begin] != mark::unseen) continue;
            std::vector<step> way{{begin, 0}};
            marks[begin] = mark::on_the_way;
            while (!way.empty()) {
                const std::size_t here = way.back().task;
                const auto awaited = awaited_by(graph_[here]);
                if (way.back().next_child == awaited.size()) {
                    marks[here] = mark::seen;
                    way.pop_back();
                    continue;
                }
                const std::size_t next = awaited[way.back().next_child++];
                if (marks[next] == mark::on_the_way) {
                    write_circle(way, next);
                } else if (marks[next] == mark::unseen) {
                    marks[next] = mark::on_the_way;
                    way.push_back({next, 0});
                }
            }
        }
    }

    void write_circle(const std::vector<step>& way, std::size_t closed_at) {
        text_ += "cycle: ";
        for (auto each = std::ranges::find(way, closed_at, &step::task); each != way.end(); ++each)
            text_ += graph_[each->task].name + " awaits ";
        text_ += graph_[closed_at].name + '\n';
    }

    void write_tree(std::size_t root) {
        std::vector<branch> to_write{{root, "", true, true}};
        while (!to_write.empty()) {
            const branch next = std::move(to_write.back());
            to_write.pop_back();
            const call_graph_entry& task = graph_[next.task];
            std::string below = next.indent;
            text_ += next.indent;
            if (!next.is_root) {
                text_ += next.is_last ? "`-- " : "|-- ";
                below += next.is_last ? "    " : "|   ";
            }
            if (is_written_[next.task]) {
                text_ += task.name + ", told above\n";
                continue;
            }
            is_written_[next.task] = true;
            const auto awaited = awaited_by(task);
            write_task(task, below + (awaited.empty() ? "    " : "|   "));
            for (auto each = awaited.rbegin(); each != awaited.rend(); ++each)
                to_write.push_back({*each, below, each == awaited.rbegin(), false});
        }
    }

    void write_task(const call_graph_entry& task, std::string_view indent) {
        const char* const state = task.is == call_graph_entry::state::waiting   ? "waiting"
                                  : task.is == call_graph_entry::state::running ? "running"
                                  : task.call_stack.empty()                     ? "not begun"
                                                                                : "ready";
        const auto out = std::back_inserter(text_);
        const std::string own_name = fmt::format("task-{}", task.number);
        fmt::format_to(out, "{}", task.name);
        if (task.name != own_name) fmt::format_to(out, " ({})", own_name);
        fmt::format_to(out, ", {}{}\n", state, task.is_cancelled ? ", cancelled" : "");
        for (const std::source_location& each : task.call_stack)
            fmt::format_to(out, "{}at {} in {}:{}\n", indent, function_of(each), each.file_name(), each.line());
        if (task.call_stack.empty())
            fmt::format_to(out, "{}made in {}:{}\n", indent, task.created_at.file_name(), task.created_at.line());
    }

    const call_graph& graph_;
    std::unordered_map<std::uint64_t, std::size_t> places_;
    std::vector<bool> is_written_;
    std::string text_;
};

}  // namespace

call_graph capture_call_graph() {
    event_loop& loop = get_running_loop();
    const innermost_of ready = ready_coroutines(loop);
    call_graph graph;
    for (task_base* each = loop.first_task(); each; each = each->next_task())
        graph.push_back(entry_of(*each, loop, ready, loop.begin_search()));
    return graph;
}

std::string format_call_graph(const call_graph& graph) { return graph_writer(graph).write(); }

std::string format_call_graph() { return format_call_graph(capture_call_graph()); }

void print_call_graph(std::FILE* into) {
    const std::string text = format_call_graph();
    std::fwrite(text.data(), 1, text.size(), into);
    std::fflush(into);
}

}  // namespace tercet::asyncio
