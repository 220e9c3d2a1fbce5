#pragma once

/// Names that the tests of this program resolve beside real ones: "twice.test" has the same address two times,
/// "both.test" has two, and names that begin with "slow" have one, for which one waits until `let_go`.
class slow_names {
public:
    /// How many threads wait, and how many have ever looked for such a name.
    static int waiting();
    static int asked();

    slow_names();
    slow_names(const slow_names&) = delete;
    slow_names& operator=(const slow_names&) = delete;
    /// Lets all go, and waits until they have gone.
    ~slow_names();
    void let_go();
};
