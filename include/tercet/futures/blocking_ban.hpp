#pragma once

namespace tercet {

/// While one lives, its thread must not block on a future: it runs an event loop, and everything on that would stand
/// still. What blocks in this module throws `invalid_state_error` instead.
class blocking_ban {
public:
    /// `advice` says what to write instead, for the error text; it must outlive the ban.
    explicit blocking_ban(const char* advice) noexcept;
    blocking_ban(const blocking_ban&) = delete;
    blocking_ban& operator=(const blocking_ban&) = delete;
    ~blocking_ban();

    /// To be called before blocking. Throws `invalid_state_error` that names `call`.
    static void check(const char* call);

private:
    const char* before_;
};

}  // namespace tercet
