#include <tercet/asyncio/descriptor_wait.hpp>
#include <tercet/asyncio/event_loop.hpp>
#include <tercet/futures/errors.hpp>

#include <cerrno>
#include <string>
#include <system_error>

namespace tercet::asyncio {

bool descriptor_wait::begin() noexcept {
    try {
        auto call = [this] {
            loop().end_wait(descriptor_, what_);
            complete();
        };
        loop().begin_wait(descriptor_, what_, handle(new scheduled_call_of<decltype(call)>(call)));
        return false;
    } catch (const invalid_state_error&) {
        is_busy_ = true;
    } catch (const std::system_error& error) {
        error_ = error.code().value();
    } catch (...) {
        error_ = ENOMEM;
    }
    return true;
}

bool descriptor_wait::abandon() noexcept {
    loop().end_wait(descriptor_, what_);
    return true;
}

void descriptor_wait::await_resume() const {
    throw_if_cancelled();
    const std::string name = "watch descriptor " + std::to_string(descriptor_);
    if (is_busy_) throw invalid_state_error(name + ": somebody else waits for the same");
    if (error_ != 0) throw std::system_error(error_, std::system_category(), name);
}

}  // namespace tercet::asyncio
