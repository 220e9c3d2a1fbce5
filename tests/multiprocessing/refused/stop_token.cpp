// refused: the function of a process cannot take a std::stop_token
#include <tercet/multiprocessing.hpp>

#include <functional>
#include <span>
#include <stop_token>
#include <string_view>

using tercet::multiprocessing::process;

void work(process& other) {
    other = process([](std::stop_token) {});
}
