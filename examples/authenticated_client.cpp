// A listener with a key, a client in another process that has it, and one that has another.

#include <tercet/multiprocessing.hpp>

#include <cstdio>
#include <string>

using tercet::multiprocessing::authentication_error;
using tercet::multiprocessing::client;
using tercet::multiprocessing::connection;
using tercet::multiprocessing::listener;
using tercet::multiprocessing::process;

namespace {

void ask(const std::string& address, const std::string& key) {
    try {
        connection line = client(address, {.authkey = key});
        line.send("six times seven");
        std::printf("answer: %d\n", line.recv<int>());
    } catch (const authentication_error& e) {
        std::printf("%s\n", e.what());
    }
}

}  // namespace

int main() {
    listener server("127.0.0.1:0", {.authkey = "a shared secret"});
    for (const std::string& key : {std::string("a shared secret"), std::string("a guess")}) {
        process asker(ask, server.address(), key);
        asker.start();
        try {
            connection line = server.accept();
            std::printf("question: %s\n", line.recv<std::string>().c_str());
            std::fflush(stdout);  // the other process prints next
            line.send(42);
        } catch (const authentication_error& e) {
            asker.join();
            std::printf("%s\n", e.what());
        }
    }
}
