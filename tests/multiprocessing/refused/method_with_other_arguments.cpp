// refused: the function cannot be called with these arguments
#include <tercet/multiprocessing.hpp>

#include <string>

struct account {
    long deposit(long amount) { return balance += amount; }
    long balance = 0;
};
long pay(const tercet::multiprocessing::proxy<account>& shared) {
    return shared.call<&account::deposit>(std::string("ten"));
}
