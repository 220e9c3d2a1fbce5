// refused: a lambda with captures cannot be sent to another process
#include <tercet/multiprocessing.hpp>

int twice(const tercet::multiprocessing::proxy<int>& number, int factor) {
    return number.apply([factor](int& n) { return n * factor; });
}
