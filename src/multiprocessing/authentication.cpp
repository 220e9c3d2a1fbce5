// listener                                   client
//   has_key, challenge L         ----->
//                                <-----      has_key, challenge C, HMAC(key, "client" L C)
//   is_welcome, HMAC(key, "listener" C L)
//                                ----->
//
// Who has no key writes zeros for the HMAC. Both challenges are in both answers, and the roles as well, so that no
// answer can be had from one connection for another. A client without the right key is told so: both ends throw. Every
// message has one size, and nothing that the other end says is decoded before it has proved itself.

#include "authentication.hpp"

#include <tercet/multiprocessing/errors.hpp>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <sys/random.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <string_view>
#include <system_error>

namespace tercet::multiprocessing {

namespace {

using digest = std::array<unsigned char, 32>;

struct listener_hello {
    unsigned char has_key = 0;
    digest challenge{};
};
struct client_answer {
    unsigned char has_key = 0;
    digest challenge{};
    digest proof{};
};
struct listener_verdict {
    unsigned char is_welcome = 0;
    digest proof{};
};

digest random_challenge() {
    digest challenge{};
    for (std::size_t done = 0; done < challenge.size();) {
        const ssize_t count = ::getrandom(challenge.data() + done, challenge.size() - done, 0);
        if (count < 0 && errno != EINTR) throw std::system_error(errno, std::system_category(), "getrandom");
        if (count > 0) done += static_cast<std::size_t>(count);
    }
    return challenge;
}

digest proof_of(const authkey_type& key, std::string_view role, const digest& first, const digest& second) {
    digest proof{};
    if (!key) return proof;
    if (::OPENSSL_init_crypto(0, nullptr) == 0)
        throw authentication_error("authentication: the program is at its end, and OpenSSL has been taken down");
    std::string text(role);
    text.append(reinterpret_cast<const char*>(first.data()), first.size());
    text.append(reinterpret_cast<const char*>(second.data()), second.size());
    unsigned size = 0;
    if (!::HMAC(::EVP_sha256(), key->data(), static_cast<int>(key->size()),
                reinterpret_cast<const unsigned char*>(text.data()), text.size(), proof.data(), &size))
        throw authentication_error("authentication: OpenSSL has no HMAC-SHA256");
    return proof;
}

bool is_same(const digest& a, const digest& b) noexcept { return ::CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0; }

using time_point = time_limit::clock::time_point;

time_limit left_until(time_point deadline) {
    if (deadline == time_point::max()) return {};
    return std::max<time_limit::clock::duration>(deadline - time_limit::clock::now(), {});
}

template <class Message>
void send(connection& line, const Message& message, time_point deadline) {
    line.send_bytes(std::as_bytes(std::span(&message, 1)), left_until(deadline));
}

template <class Message>
Message receive(connection& line, time_point deadline) {
    const auto bytes = line.recv_bytes(left_until(deadline), sizeof(Message));
    if (bytes.size() != sizeof(Message)) throw authentication_error("authentication: the other end does not speak it");
    Message message;
    std::memcpy(&message, bytes.data(), sizeof message);
    return message;
}

}  // namespace

void welcome_client(connection& line, const authkey_type& key, time_point deadline) {
    const listener_hello hello{key.has_value(), random_challenge()};
    send(line, hello, deadline);
    const auto answer = receive<client_answer>(line, deadline);
    const bool is_welcome = (answer.has_key != 0) == key.has_value() &&
                            is_same(answer.proof, proof_of(key, "client", hello.challenge, answer.challenge));
    listener_verdict verdict{is_welcome, {}};
    if (is_welcome) verdict.proof = proof_of(key, "listener", answer.challenge, hello.challenge);
    send(line, verdict, deadline);
    if (!is_welcome)
        throw authentication_error((answer.has_key != 0) == key.has_value()
                                       ? "listener: accept: a client has another authkey"
                                   : key ? "listener: accept: a client has no authkey, and this listener wants one"
                                         : "listener: accept: a client has an authkey, and this listener none");
}

void greet_listener(connection& line, const authkey_type& key, time_point deadline) {
    const auto hello = receive<listener_hello>(line, deadline);
    const auto challenge = random_challenge();
    send(line, client_answer{key.has_value(), challenge, proof_of(key, "client", hello.challenge, challenge)},
         deadline);
    const auto verdict = receive<listener_verdict>(line, deadline);
    if ((hello.has_key != 0) != key.has_value())
        throw authentication_error(key ? "client: the listener has no authkey"
                                       : "client: the listener wants an authkey");
    if (verdict.is_welcome == 0 || !is_same(verdict.proof, proof_of(key, "listener", challenge, hello.challenge)))
        throw authentication_error("client: the listener has another authkey");
}

}  // namespace tercet::multiprocessing
