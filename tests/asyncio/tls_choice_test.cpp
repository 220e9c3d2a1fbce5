#include <tercet/asyncio.hpp>

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "asyncio/certificates.hpp"
#include "asyncio/runs_on.hpp"
#include "asyncio/stream_pair.hpp"
#include "asyncio/tls_settings.hpp"
#include "asyncio/tls_sides.hpp"
#include "asyncio/unread_errors.hpp"

using namespace tercet::asyncio;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

namespace {

struct connected {
    std::string error;
    std::string certificate;  // of the server
    std::string alpn;
};

coro<connected> connect_as(std::uint16_t port, tls_context client, std::string name) {
    connected seen;
    try {
        connection peer =
            co_await open_connection("127.0.0.1", port, {.tls = &client, .tls_server_name = std::move(name)});
        const tls_info agreed = peer.writer.tls().value();
        seen.certificate = agreed.peer_certificate;
        seen.alpn = agreed.alpn;
    } catch (const tls_error& error) {
        seen.error = error.what();
    }
    co_return seen;
}

coro<> say_nothing(stream_reader, stream_writer) { co_return; }

/// A client of OpenSSL's own that blocks. Connects, reads until the end, and gives what is needed to resume.
class resuming_client {
public:
    explicit resuming_client(const certificates::files& own)
        : context_(SSL_CTX_new(TLS_client_method()), &SSL_CTX_free) {
        SSL_CTX_use_certificate_chain_file(context_.get(), own.certificate.c_str());
        SSL_CTX_use_PrivateKey_file(context_.get(), own.key.c_str(), SSL_FILETYPE_PEM);
        SSL_CTX_set_session_cache_mode(context_.get(), SSL_SESS_CACHE_CLIENT);
    }

    struct visit {
        bool is_connected = false;
        bool is_resumed = false;
        std::string text;
    };

    visit call(std::uint16_t port) {
        visit made;
        const int descriptor = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        sockaddr_in server{};
        server.sin_family = AF_INET;
        server.sin_port = htons(port);
        server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        const std::unique_ptr<SSL, decltype(&SSL_free)> session(SSL_new(context_.get()), &SSL_free);
        SSL_set_fd(session.get(), descriptor);
        if (last_) SSL_set_session(session.get(), last_.get());
        if (::connect(descriptor, reinterpret_cast<const sockaddr*>(&server), sizeof server) == 0 &&
            SSL_connect(session.get()) == 1) {
            made.is_connected = true;
            made.is_resumed = SSL_session_reused(session.get()) == 1;
            std::array<char, 64> room{};
            for (int count = 0; (count = SSL_read(session.get(), room.data(), room.size())) > 0;)
                made.text.append(room.data(), static_cast<std::size_t>(count));
            last_.reset(SSL_get1_session(session.get()));
            SSL_shutdown(session.get());
        }
        ::close(descriptor);
        return made;
    }

private:
    std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context_;
    std::unique_ptr<SSL_SESSION, decltype(&SSL_SESSION_free)> last_{nullptr, &SSL_SESSION_free};
};

coro<> welcome(stream_reader, stream_writer writer) {
    writer.write("welcome");
    co_return;
}

coro<std::vector<resuming_client::visit>> call_twice(tls_context server_side, certificates::files own) {
    server listening = co_await start_server(&welcome, "127.0.0.1", 0, {.tls = &server_side});
    resuming_client client(own);
    std::vector<resuming_client::visit> visits;
    for (int i = 0; i < 2; ++i) {
        const auto call = [&client, port = listening.port()] { return client.call(port); };
        resuming_client::visit made = co_await to_thread(call);
        visits.push_back(std::move(made));
    }
    co_return visits;
}

}  // namespace

TEST(tls_choice, one_port_has_a_certificate_for_each_name) {
    both_sides tls;
    const auto of_first = tls.made.issue("DNS:first.test");
    const auto of_second = tls.made.issue("DNS:second.test");
    const auto own = tls.made.issue("DNS:localhost,IP:127.0.0.1");
    const auto first = server_context(of_first);
    const auto second = tls_context::server(
        {.certificate_file = of_second.certificate, .key_file = of_second.key, .alpn = {"http/1.1"}});
    std::vector<std::string> asked;
    const auto choose = [&](std::string_view name) -> std::optional<tls_context> {
        asked.emplace_back(name);
        if (name == "first.test") return first;
        if (name == "second.test") return second;
        return std::nullopt;
    };
    const auto all = tls_context::server(
        {.certificate_file = own.certificate, .key_file = own.key, .alpn = {"h2"}, .choose = choose});
    const auto client = tls_context::client({.ca_file = tls.made.authority_file(), .alpn = {"h2", "http/1.1"}});
    auto main = [&]() -> coro<> {
        server listening = co_await start_server(&say_nothing, "127.0.0.1", 0, {.tls = &all});
        std::vector<std::string> agreed;
        const std::array<std::string, 4> names{"first.test", "second.test", "localhost", ""};
        for (const std::string& name : names) {
            const connected seen = co_await connect_as(listening.port(), client, name);
            EXPECT_EQ(seen.error, "") << name;
            agreed.push_back(seen.alpn);
        }
        EXPECT_THAT(asked, ElementsAre("first.test", "second.test", "localhost", ""));
        EXPECT_THAT(agreed, ElementsAre("", "http/1.1", "h2", "h2")) << "the first context speaks no protocol by name";
    };
    run(main());
}

TEST(tls_choice, is_made_once_also_for_a_client_that_has_to_begin_again) {
    both_sides tls;
    const auto own = tls.made.issue("DNS:localhost");
    const auto of_other = tls.made.issue("DNS:other.test");
    const auto other = server_context(of_other);
    int choices = 0;
    const auto choose = [&](std::string_view name) -> std::optional<tls_context> {
        ++choices;
        if (name == "other.test") return other;
        return std::nullopt;
    };
    const auto first =
        tls_context::server({.certificate_file = own.certificate, .key_file = own.key, .choose = choose});
    // The client offers a key of a group that the server does not take: it is asked for another one.
    for (const tls_context* const each : {&first, &other}) SSL_CTX_set1_groups_list(each->settings()->get(), "P-256");
    SSL_CTX_set1_groups_list(tls.client.settings()->get(), "X25519:P-256");
    auto main = [&]() -> coro<> {
        server listening = co_await start_server(&say_nothing, "127.0.0.1", 0, {.tls = &first});
        const std::array<std::string, 2> names{"other.test", "localhost"};
        for (const std::string& name : names) {
            const connected seen = co_await connect_as(listening.port(), tls.client, name);
            EXPECT_EQ(seen.error, "") << name;
        }
        EXPECT_EQ(choices, 2);
    };
    run(main());
}

TEST(tls_choice, a_certificate_is_renewed_while_the_server_runs) {
    both_sides tls;
    const auto own = tls.made.issue("DNS:localhost");
    std::optional<tls_context> current = server_context(tls.made.issue("DNS:localhost"));
    const auto renewed =
        tls_context::server({.certificate_file = own.certificate, .key_file = own.key, .choose = [&](std::string_view) {
                                 return current;
                             }});
    auto main = [&]() -> coro<> {
        server listening = co_await start_server(&say_nothing, "127.0.0.1", 0, {.tls = &renewed});
        const connected before = co_await connect_as(listening.port(), tls.client, "localhost");
        current = server_context(tls.made.issue("DNS:localhost"));
        const connected after = co_await connect_as(listening.port(), tls.client, "localhost");
        EXPECT_EQ(before.error + after.error, "");
        EXPECT_NE(before.certificate, after.certificate);
    };
    run(main());
}

TEST(tls_choice, what_the_choice_throws_ends_that_handshake_only) {
    const unread_errors unread;
    both_sides tls;
    const auto own = tls.made.issue("DNS:localhost");
    const auto choose = [&](std::string_view name) -> std::optional<tls_context> {
        if (name == "unknown.test") throw std::out_of_range("no certificate for unknown.test");
        if (name == "wrong.test") return tls.client;
        return std::nullopt;
    };
    const auto choosing =
        tls_context::server({.certificate_file = own.certificate, .key_file = own.key, .choose = choose});
    auto main = [&]() -> coro<> {
        server listening = co_await start_server(&say_nothing, "127.0.0.1", 0, {.tls = &choosing});
        const connected unknown = co_await connect_as(listening.port(), tls.client, "unknown.test");
        EXPECT_THAT(unknown.error, HasSubstr("unrecognized name"));
        const connected wrong = co_await connect_as(listening.port(), tls.client, "wrong.test");
        EXPECT_THAT(wrong.error, HasSubstr("unrecognized name"));
        const connected known = co_await connect_as(listening.port(), tls.client, "localhost");
        EXPECT_EQ(known.error, "");
    };
    run(main());
    EXPECT_THAT(unread.texts(), ElementsAre(HasSubstr("no certificate for unknown.test"),
                                            AllOf(HasSubstr("wrong.test"), HasSubstr("tls_context::server"))));
}

TEST(tls_choice, the_chosen_context_says_whether_clients_need_a_certificate) {
    const unread_errors unread;
    both_sides tls;
    const auto own = tls.made.issue("DNS:localhost");
    const auto asking = tls_context::server(
        {.certificate_file = own.certificate, .key_file = own.key, .client_ca_file = tls.made.authority_file()});
    const auto choosing =
        tls_context::server({.certificate_file = own.certificate, .key_file = own.key, .choose = [&](std::string_view) {
                                 return std::optional<tls_context>(asking);
                             }});
    const auto of_client = tls.made.issue("DNS:client");
    const auto known = tls_context::client(
        {.ca_file = tls.made.authority_file(), .certificate_file = of_client.certificate, .key_file = of_client.key});
    auto main = [&]() -> coro<> {
        server listening = co_await start_server(&welcome, "127.0.0.1", 0, {.tls = &choosing});
        const auto read_as = [&](tls_context client) -> coro<std::string> {
            connection peer = co_await open_connection("127.0.0.1", listening.port(),
                                                       {.tls = &client, .tls_server_name = "localhost"});
            std::string text;
            try {
                text = co_await peer.reader.read();
            } catch (const tls_error& error) {
                text = error.what();
            }
            co_return text;
        };
        const std::string admitted = co_await read_as(known);
        EXPECT_EQ(admitted, "welcome");
        const std::string refused = co_await read_as(tls.client);
        EXPECT_THAT(refused, HasSubstr("certificate required"));
    };
    run(main());
}

TEST(tls_choice, a_client_with_a_certificate_resumes_its_session_but_not_where_a_context_is_chosen) {
    if (runs_on(loop_backend::sim)) GTEST_SKIP() << "the client's sockets are real";
    both_sides tls;
    const auto own = tls.made.issue("DNS:localhost");
    const auto of_client = tls.made.issue("DNS:client");
    tls_server_options options{
        .certificate_file = own.certificate, .key_file = own.key, .client_ca_file = tls.made.authority_file()};
    const auto resumed = run(call_twice(tls_context::server(options), of_client));
    EXPECT_EQ(resumed[0].text, "welcome");
    EXPECT_EQ(resumed[1].text, "welcome");
    EXPECT_TRUE(resumed[1].is_resumed);

    options.choose = [](std::string_view) { return std::optional<tls_context>(); };
    const auto anew = run(call_twice(tls_context::server(options), of_client));
    EXPECT_EQ(anew[1].text, "welcome");
    EXPECT_FALSE(anew[1].is_resumed);
}
