#pragma once

#include <ucontext.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

namespace tercet::threading {

/// Runs the bodies of some threads in every order of their steps that interrupts a thread, or prefers another one to
/// that whose turn it is, a few times at most (delay bounding after Emmi, Qadeer and Rakamarić, 2011). The threads are
/// contexts on one thread; a step is a call of `step`. Memory order is not modelled. Where all that are not over sleep,
/// a wake-up was lost.
class interleavings {
public:
    static inline interleavings* current = nullptr;

    explicit interleavings(unsigned most_interruptions) : most_interruptions_(most_interruptions) { current = this; }
    interleavings(const interleavings&) = delete;
    interleavings& operator=(const interleavings&) = delete;
    ~interleavings() { current = nullptr; }

    /// True while there is another order to run.
    bool has_next() {
        if (runs_ == 0) return true;
        while (!choices_.empty() && choices_.back().taken + 1 == choices_.back().of) choices_.pop_back();
        if (choices_.empty()) return false;
        ++choices_.back().taken;
        return true;
    }
    /// One order. False: a wake-up was lost.
    bool run(std::vector<std::function<void()>> bodies) {
        ++runs_;
        position_ = 0;
        interruptions_ = 0;
        threads_.resize(bodies.size());
        for (std::size_t i = 0; i < bodies.size(); ++i) {
            threads_[i].body = std::move(bodies[i]);
            threads_[i].is = state::ready;
            if (!threads_[i].stack) threads_[i].stack = std::make_unique_for_overwrite<std::array<char, stack_size>>();
            ::getcontext(&threads_[i].context);
            threads_[i].context.uc_stack.ss_sp = threads_[i].stack->data();
            threads_[i].context.uc_stack.ss_size = stack_size;
            ::makecontext(&threads_[i].context, &interleavings::enter, 0);
        }
        running_ = nobody;
        running_ = choose();
        ::swapcontext(&home_, &threads_[running_].context);
        running_ = nobody;
        for (const thread& each : threads_)
            if (each.is != state::over) return false;
        return true;
    }
    std::size_t runs() const { return runs_; }

    // For the bodies.
    void step() {
        if (running_ == nobody) return;  // before and after
        ucontext_t& from = threads_[running_].context;
        const std::size_t next = choose();
        if (next != running_) ::swapcontext(&from, &context_of(running_ = next));
    }
    /// Goes on only after `wake` with the same name.
    void sleep(const void* name) {
        threads_[running_].is = state::asleep;
        threads_[running_].sleeps_on = name;
        step();
    }
    void wake(const void* name) {
        for (thread& each : threads_)
            if (each.is == state::asleep && each.sleeps_on == name) each.is = state::ready;
    }

private:
    enum class state { ready, asleep, over };
    static constexpr std::size_t stack_size = 64 * 1024;
    struct thread {
        std::function<void()> body;
        std::unique_ptr<std::array<char, stack_size>> stack;
        ucontext_t context{};
        state is = state::ready;
        const void* sleeps_on = nullptr;
    };
    struct choice {
        std::size_t taken;
        std::size_t of;
    };
    static constexpr std::size_t nobody = static_cast<std::size_t>(-1);

    static void enter() {
        thread& self = current->threads_[current->running_];
        self.body();
        self.is = state::over;
        current->running_ = current->choose();
        ::setcontext(&current->context_of(current->running_));
    }
    ucontext_t& context_of(std::size_t index) { return index == nobody ? home_ : threads_[index].context; }

    /// Who goes on: the one that runs, if it can, else the first that can; or, as often as is allowed, another one.
    std::size_t choose() {
        std::array<std::size_t, 8> able{};
        std::size_t count = 0;
        const bool goes_on = running_ != nobody && threads_[running_].is == state::ready;
        if (goes_on) able[count++] = running_;
        for (std::size_t i = 0; i < threads_.size(); ++i)
            if (i != running_ && threads_[i].is == state::ready) able[count++] = i;
        if (count == 0) return nobody;
        std::size_t taken = 0;
        if (count > 1 && interruptions_ < most_interruptions_) {
            if (position_ == choices_.size()) choices_.push_back({0, count});
            taken = choices_[position_++].taken;
        }
        if (taken != 0) ++interruptions_;
        return able[taken];
    }

    unsigned most_interruptions_;
    unsigned interruptions_ = 0;
    std::size_t runs_ = 0;
    std::size_t position_ = 0;
    std::size_t running_ = nobody;
    std::vector<choice> choices_;
    std::vector<thread> threads_;
    ucontext_t home_{};
};

/// The parts of protocols, each access a step.
struct interleaved_parts {
    static void step() {
        if (interleavings::current) interleavings::current->step();
    }

    template <class T>
    class atomic {
    public:
        atomic(T value = {}) : value_(value) {}  // NOLINT(google-explicit-constructor): as std::atomic
        T load(std::memory_order = std::memory_order_seq_cst) const {
            step();
            return value_;
        }
        void store(T value, std::memory_order = std::memory_order_seq_cst) {
            step();
            value_ = value;
        }
        T fetch_add(T by, std::memory_order = std::memory_order_seq_cst) {
            step();
            return std::exchange(value_, value_ + by);
        }
        T fetch_sub(T by, std::memory_order = std::memory_order_seq_cst) {
            step();
            return std::exchange(value_, value_ - by);
        }
        bool compare_exchange_strong(T& expected, T desired, std::memory_order, std::memory_order) {
            step();
            if (value_ == expected) return value_ = desired, true;
            expected = value_;
            return false;
        }

    private:
        T value_;
    };

    class mutex {
    public:
        void lock() {
            step();
            while (is_held_) interleavings::current->sleep(this);
            is_held_ = true;
        }
        void unlock() {
            step();
            is_held_ = false;
            interleavings::current->wake(this);
        }

    private:
        bool is_held_ = false;
    };

    class parker {
    public:
        template <class Deadline>
        void park(Deadline) {
            step();
            while (!is_signalled_) interleavings::current->sleep(this);
            is_signalled_ = false;
        }
        void unpark() {
            step();
            is_signalled_ = true;
            interleavings::current->wake(this);
        }

    private:
        bool is_signalled_ = false;
    };
};

}  // namespace tercet::threading
