// A thread's stages: made -> running (start) -> over (its function has returned or thrown). They change once, in this
// order.
//
// start() enters the state into the registry before it creates the thread, so that a thread which looks for itself
// finds itself, and takes it out again when that fails. The running thread has a reference to its state.
//
// The exception that left the function is taken exactly once, under mutex_: by the first join, by the hook when the
// `thread` goes, or, if it had gone before, by the hook at the end of the thread.
//
// id_ is there while the system's thread can be named, joined or detached: from its creation until somebody has joined
// or detached it. Who joins waits for is_over_ first and then for the rest, which are the destructors of thread-local
// objects; joining_ lets one thread at a time do so. A daemon whose `thread` has gone is detached.

#include <tercet/futures/errors.hpp>
#include <tercet/threading/thread.hpp>

#include <fmt/format.h>
#include <futures/text_of.hpp>
#include <limits.h>
#include <pthread.h>
#include <threading/thread_registry.hpp>
#include <threading/thread_state.hpp>

#include <algorithm>
#include <mutex>
#include <new>
#include <system_error>
#include <utility>

namespace tercet::threading {

namespace {

struct hook_holder {
    quick_lock mutex;
    excepthook_type hook;
};

hook_holder& installed() {
    static auto* const holder = new hook_holder;  // daemons may need it when main is over
    return *holder;
}

[[gnu::constructor(101)]] void prepare_for_forks() {
    ::pthread_atfork([] { installed().mutex.lock(); }, [] { installed().mutex.unlock(); },
                     [] { installed().mutex.unlock(); });
}

}  // namespace

excepthook_type set_excepthook(excepthook_type hook) {
    const std::lock_guard guard(installed().mutex);
    return std::exchange(installed().hook, std::move(hook));
}

void thread_state::adopt_calling_thread() {
    ident = get_ident();
    native_id = get_native_id();
    stage = stage_type::running;
    id_ = ::pthread_self();
}

void thread_state::start(std::size_t size) {
    stage_type expected = stage_type::made;
    if (!stage.compare_exchange_strong(expected, stage_type::running))
        throw invalid_state_error(fmt::format("thread {}: started before; make a new thread for another run", name()));
    pthread_attr_t attributes;
    ::pthread_attr_init(&attributes);
    int error = size == 0 ? 0
                          : ::pthread_attr_setstacksize(&attributes,
                                                        std::max(size, static_cast<std::size_t>(PTHREAD_STACK_MIN)));
    std::shared_ptr<thread_state>* self = nullptr;
    try {
        self = new std::shared_ptr<thread_state>(shared_from_this());
        thread_registry::add(*self);
    } catch (...) {
        delete self;
        ::pthread_attr_destroy(&attributes);
        stage = stage_type::made;
        throw;
    }
    if (error == 0) {
        const std::lock_guard guard(mutex_);  // the thread finds id_ when it looks
        pthread_t id{};
        error = ::pthread_create(&id, &attributes, &thread_state::run, self);
        if (error == 0) id_ = id;
    }
    ::pthread_attr_destroy(&attributes);
    if (error != 0) {
        thread_registry::remove(*this);
        delete self;
        stage = stage_type::made;
        throw std::system_error(error, std::system_category(), fmt::format("thread {}: create a thread", name()));
    }
    runs_.wait();  // so that it has its numbers
}

void* thread_state::run(void* argument) {
    const std::unique_ptr<std::shared_ptr<thread_state>> holder(static_cast<std::shared_ptr<thread_state>*>(argument));
    thread_state& self = **holder;
    self.ident = get_ident();
    self.native_id = get_native_id();
    thread_registry::set_current(*holder);
    self.set_name(self.name());
    self.runs_.set();
    std::exception_ptr error;
    try {
        self.body(self.stop.get_token());
    } catch (...) {
        error = std::current_exception();
    }
    self.body = nullptr;
    self.body_is_over(std::move(error));
    return nullptr;
}

void thread_state::body_is_over(std::exception_ptr error) noexcept {
    bool is_unread = false;
    {
        const std::lock_guard guard(mutex_);
        is_unread = is_abandoned_ && error;
        if (!is_unread) error_ = std::move(error);
    }
    if (is_unread) report(std::move(error));
    stage = stage_type::over;
    thread_registry::remove(*this);
    is_over_.set();
}

std::exception_ptr thread_state::take_error() noexcept {
    const std::lock_guard guard(mutex_);
    return std::exchange(error_, nullptr);
}

void thread_state::report(std::exception_ptr error) noexcept {
    const std::string origin = text_of([this] { return fmt::format("thread {}", name()); });
    try {
        excepthook_type hook;
        {
            const std::lock_guard guard(installed().mutex);
            hook = installed().hook;
        }
        if (!hook) return report_unread_error(error, origin);
        hook({error, thread_handle(shared_from_this())});
    } catch (...) {
        report_unread_error(std::current_exception(), text_of([&] { return fmt::format("excepthook of {}", origin); }));
        report_unread_error(error, origin);
    }
}

bool thread_state::join(time_limit limit) {
    if (kind_ != kind_type::own)
        throw invalid_state_error(fmt::format("thread {}: join of a thread that this library did not start", name()));
    if (stage == stage_type::made)
        throw invalid_state_error(fmt::format("thread {}: join before start; call start() first", name()));
    if (is_calling_thread())
        throw invalid_state_error(fmt::format("thread {}: join of itself would never return", name()));
    if (!is_over_.wait(limit)) return false;
    reap();
    if (const std::exception_ptr error = take_error()) std::rethrow_exception(error);
    return true;
}

void thread_state::wait_until_over() noexcept {
    is_over_.wait();
    reap();
}

void thread_state::reap() noexcept {
    const std::lock_guard one(joining_);
    std::optional<pthread_t> id;
    {
        const std::lock_guard guard(mutex_);
        id = std::exchange(id_, std::nullopt);
    }
    if (id) ::pthread_join(*id, nullptr);
}

void thread_state::abandon() noexcept {
    if (stage == stage_type::made) return;
    const bool is_inside = is_calling_thread();
    if (!daemon && !is_inside) {
        stop.request_stop();
        wait_until_over();
    }
    std::exception_ptr error;
    {
        const std::lock_guard guard(mutex_);
        is_abandoned_ = true;
        error = std::exchange(error_, nullptr);
        if (id_) ::pthread_detach(*std::exchange(id_, std::nullopt));
    }
    if (error) report(std::move(error));
}

void thread_state::is_lost_in_fork() noexcept {
    std::construct_at(&mutex_);  // whoever held them does not exist here
    std::construct_at(&joining_);
    std::construct_at(&is_over_);
    std::construct_at(&runs_);
    id_.reset();
    stage = stage_type::over;
    runs_.set();
    is_over_.set();
}

void thread_state::becomes_main_in_fork() noexcept {
    std::construct_at(&mutex_);
    kind_ = kind_type::main;
    native_id = get_native_id();
}

std::string thread_state::name() const {
    const std::lock_guard guard(mutex_);
    return name_;
}

void thread_state::set_name(std::string name) {
    const std::lock_guard guard(mutex_);
    name_ = std::move(name);
    // Not the main thread: its name is the one of the process.
    if (kind_ != kind_type::main && stage == stage_type::running && id_)
        ::pthread_setname_np(*id_, name_.substr(0, 15).c_str());
}

std::string thread_handle::name() const { return state_->name(); }
void thread_handle::set_name(std::string name) { state_->set_name(std::move(name)); }
std::uint64_t thread_handle::ident() const noexcept { return state_->ident; }
int thread_handle::native_id() const noexcept { return state_->native_id; }
bool thread_handle::daemon() const noexcept { return state_->daemon; }
bool thread_handle::is_alive() const noexcept { return state_->stage == thread_state::stage_type::running; }
bool thread_handle::is_dummy() const noexcept { return state_->kind_ == thread_state::kind_type::dummy; }
bool thread_handle::request_stop() noexcept { return state_->stop.request_stop(); }
bool thread_handle::join(time_limit limit) { return state_->join(limit); }

thread::thread(thread_options options, body_type body, body_tag)
    : thread_handle(std::make_shared<thread_state>(thread_state::kind_type::own, options.name.empty()
                                                                                     ? thread_registry::next_name()
                                                                                     : std::move(options.name))) {
    state_->daemon = options.daemon;
    state_->stack_size = options.stack_size;
    state_->body = std::move(body);
}

thread& thread::operator=(thread&& other) noexcept {
    if (this == &other) return *this;
    end();
    state_ = std::move(other.state_);
    return *this;
}

thread::~thread() { end(); }

void thread::end() noexcept {
    if (const auto state = std::exchange(state_, nullptr)) state->abandon();
}

void thread::start() { state_->start(state_->stack_size); }

}  // namespace tercet::threading
