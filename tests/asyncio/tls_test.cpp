#include <tercet/asyncio.hpp>

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>
#include <system_error>
#include <vector>

#include "asyncio/certificates.hpp"
#include "asyncio/open_descriptors.hpp"
#include "asyncio/runs_on.hpp"
#include "asyncio/stream_pair.hpp"
#include "asyncio/tls_sides.hpp"
#include "asyncio/unread_errors.hpp"
#include "multiprocessing/signal_storm.hpp"

using namespace std::chrono_literals;
using namespace tercet::asyncio;
using testing::AllOf;
using testing::AnyOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

namespace {

std::string numbers(std::size_t at_least) {
    std::string text;
    for (int i = 0; text.size() < at_least; ++i) text += std::to_string(i) + ' ';
    return text;
}

/// What connecting to a server with that certificate throws.
coro<std::string> refusal(tls_context server_side, tls_context client_side, std::string name) {
    server echo_server = co_await start_server(&echo, "127.0.0.1", 0, {.tls = &server_side});
    std::string text = "connected";
    try {
        co_await open_connection("127.0.0.1", echo_server.port(), {.tls = &client_side, .tls_server_name = name});
    } catch (const tls_error& error) {
        text = error.what();
        if (dynamic_cast<const certificate_error*>(&error)) text += " (certificate)";
    }
    echo_server.close();
    co_await echo_server.wait_closed();
    co_return text;
}

}  // namespace

TEST(tls, echo_returns_what_was_sent_and_both_sides_know_what_was_agreed) {
    const both_sides tls;
    auto main = [&]() -> coro<> {
        tls_info seen_by_server;
        auto echo_and_tell = [&](stream_reader reader, stream_writer writer) -> coro<> {
            seen_by_server = writer.tls().value();
            co_await echo(std::move(reader), std::move(writer));
        };
        server echo_server = co_await start_server(echo_and_tell, "127.0.0.1", 0, {.tls = &tls.server});
        connection peer = co_await open_connection("127.0.0.1", echo_server.port(),
                                                   {.tls = &tls.client, .tls_server_name = "localhost"});
        const tls_info seen_by_client = peer.writer.tls().value();
        EXPECT_EQ(seen_by_client.version, "TLSv1.3");
        EXPECT_THAT(seen_by_client.cipher, HasSubstr("TLS_"));
        EXPECT_EQ(seen_by_client.peer_certificate, "CN = test 2");
        EXPECT_EQ(seen_by_client.alpn, "");
        peer.writer.write("hello\nworld");
        const std::string first = co_await peer.reader.read_line();
        EXPECT_EQ(first, "hello\n");
        std::array<char, 3> room{};
        const std::size_t count = co_await peer.reader.read_some(room);
        EXPECT_EQ(std::string(room.data(), count), "wor");
        peer.writer.write_eof();
        EXPECT_THROW(peer.writer.write("x"), tercet::invalid_state_error);
        const std::string rest = co_await peer.reader.read();
        EXPECT_EQ(rest, "ld");
        EXPECT_TRUE(peer.reader.at_eof());
        EXPECT_EQ(seen_by_server.server_name, "localhost");
        EXPECT_EQ(seen_by_server.peer_certificate, "");
        peer.writer.close();
        co_await peer.writer.wait_closed();
    };
    run(main());
}

TEST(tls, a_numeric_host_is_checked_against_the_addresses_in_the_certificate) {
    const both_sides tls;
    auto main = [&]() -> coro<> {
        server echo_server = co_await start_server(&echo, "127.0.0.1", 0, {.tls = &tls.server});
        connection peer = co_await open_connection("127.0.0.1", echo_server.port(), {.tls = &tls.client});
        peer.writer.write("x");
        const std::string answer = co_await peer.reader.read_exactly(1);
        EXPECT_EQ(answer, "x");
    };
    run(main());
}

TEST(tls, loses_nothing_in_a_storm_of_signals) {
    const both_sides tls;
    auto main = [&]() -> coro<> {
        const server echo_server = co_await start_server(&echo, "127.0.0.1", 0, {.tls = &tls.server});
        const tercet::multiprocessing::signal_storm storm;
        connection peer = co_await open_connection("localhost", echo_server.port(), {.tls = &tls.client});
        const std::string data = numbers(2U << 20);
        auto send = [&]() -> coro<> {
            peer.writer.write(data);
            co_await peer.writer.drain();
            peer.writer.write_eof();
        };
        auto [sent, received] = co_await gather(send(), peer.reader.read());
        static_cast<void>(sent);
        EXPECT_TRUE(received == data);
        tercet::multiprocessing::signal_storm::wait_for_one();
    };
    run(main());
}

TEST(tls, megabytes_pass_both_ways) {
    const both_sides tls;
    auto main = [&]() -> coro<> {
        server echo_server = co_await start_server(&echo, "127.0.0.1", 0, {.tls = &tls.server});
        connection peer = co_await open_connection("127.0.0.1", echo_server.port(), {.tls = &tls.client});
        const std::string data = numbers(4U << 20);
        auto send = [&]() -> coro<> {
            for (std::size_t at = 0; at < data.size(); at += 300'000) {
                peer.writer.write(std::string_view(data).substr(at, 300'000));
                co_await peer.writer.drain();
            }
            peer.writer.write_eof();
        };
        auto [sent, received] = co_await gather(send(), peer.reader.read());
        static_cast<void>(sent);
        EXPECT_TRUE(received == data);
    };
    run(main());
}

TEST(tls, one_large_write_arrives_whole_after_close) {
    const both_sides tls;
    auto main = [&]() -> coro<> {
        std::string received;
        event done;
        auto collect = [&](stream_reader reader, stream_writer) -> coro<> {
            received = co_await reader.read();
            done.set();
        };
        server collector = co_await start_server(collect, "127.0.0.1", 0, {.tls = &tls.server});
        const std::string data = numbers(2U << 20);
        {
            connection peer = co_await open_connection("127.0.0.1", collector.port(), {.tls = &tls.client});
            peer.writer.write(data);
        }
        co_await done.wait();
        EXPECT_TRUE(received == data);
    };
    run(main());
}

TEST(tls, what_the_peer_sends_after_our_end_is_delivered) {
    const both_sides tls;
    auto main = [&]() -> coro<> {
        const std::string data = numbers(1U << 20);
        auto answer_after_the_end = [&](stream_reader reader, stream_writer writer) -> coro<> {
            co_await reader.read();
            writer.write(data);
            co_await writer.drain();
            writer.close();
            co_await writer.wait_closed();
        };
        server trailing = co_await start_server(answer_after_the_end, "127.0.0.1", 0, {.tls = &tls.server});
        connection peer = co_await open_connection("127.0.0.1", trailing.port(), {.tls = &tls.client});
        peer.writer.write_eof();
        const std::string received = co_await peer.reader.read();
        EXPECT_TRUE(received == data);
    };
    run(main());
}

TEST(tls, closing_with_data_unread_loses_nothing_that_was_written) {
    const both_sides tls;
    auto main = [&]() -> coro<> {
        const std::string last_words = numbers(1U << 20);
        auto speak_and_go = [&](stream_reader reader, stream_writer writer) -> coro<> {
            co_await reader.read_exactly(1);  // of the many that come
            writer.write(last_words);
            writer.close();
            co_await writer.wait_closed();
        };
        server speaker = co_await start_server(speak_and_go, "127.0.0.1", 0, {.tls = &tls.server});
        connection peer = co_await open_connection("127.0.0.1", speaker.port(), {.tls = &tls.client});
        peer.writer.write(std::string(100'000, 'x'));
        const std::string received = co_await peer.reader.read();
        EXPECT_TRUE(received == last_words);
    };
    run(main());
}

TEST(tls, closing_ends_when_the_time_for_it_has_passed) {
    if (runs_on(loop_backend::sim)) GTEST_SKIP() << "simulated sockets are no descriptors to count";
    const both_sides tls;
    auto main = [&]() -> coro<> {
        event done;
        auto keep = [&](stream_reader, stream_writer writer) -> coro<> {
            co_await done.wait();  // neither reads nor closes
            writer.abort();
        };
        server keeper = co_await start_server(keep, "127.0.0.1", 0, {.tls = &tls.server});
        for (const bool has_output : {false, true}) {
            const auto before = open_descriptors();
            connection peer = co_await open_connection("127.0.0.1", keeper.port(),
                                                       {.tls = &tls.client, .tls_shutdown_timeout = 20ms});
            while (has_output && peer.writer.write_buffer_size() == 0) peer.writer.write(std::string(1 << 20, 'x'));
            peer.writer.close();
            EXPECT_TRUE(peer.writer.is_closing());
            int error = 0;
            try {
                auto closed = [&]() -> coro<> { co_await peer.writer.wait_closed(); };
                co_await timeout(10s, closed());
            } catch (const std::system_error& lost) {
                error = lost.code().value();
            }
            EXPECT_EQ(error, has_output ? ETIMEDOUT : 0);
            EXPECT_EQ(open_descriptors(), before + 1) << "the server's";
        }
        done.set();
    };
    run(main());
}

TEST(tls, a_certificate_that_has_expired_is_refused) {
    const unread_errors unread;
    both_sides tls;
    const auto expired = server_context(tls.made.issue("DNS:localhost", -10));
    const std::string text = run(refusal(expired, tls.client, "localhost"));
    EXPECT_THAT(text,
                AllOf(HasSubstr("TLS with localhost (127.0.0.1:"), HasSubstr("certificate has expired (certificate)")));
    EXPECT_THAT(unread.texts(), ElementsAre(AllOf(HasSubstr("127.0.0.1"), HasSubstr("certificate expired"))))
        << "the server hears why";
}

TEST(tls, a_certificate_for_another_name_is_refused) {
    const unread_errors unread;
    both_sides tls;
    EXPECT_THAT(run(refusal(tls.server, tls.client, "example.org")),
                AllOf(HasSubstr("TLS with example.org (127.0.0.1:"), HasSubstr("hostname mismatch")));
    const auto of_name_only = server_context(tls.made.issue("DNS:localhost"));
    EXPECT_THAT(run(refusal(of_name_only, tls.client, "")),
                AllOf(HasSubstr("TLS with 127.0.0.1:"), HasSubstr("IP address mismatch")));
}

TEST(tls, a_certificate_by_nobody_whom_we_trust_is_refused) {
    const unread_errors unread;
    both_sides tls;
    const auto self_signed = server_context(tls.made.issue("DNS:localhost", 3600, certificates::signer::itself));
    EXPECT_THAT(run(refusal(self_signed, tls.client, "localhost")), HasSubstr("self-signed certificate"));
    EXPECT_THAT(run(refusal(tls.server, tls_context::client(), "localhost")),
                HasSubstr("unable to get local issuer certificate"));
}

TEST(tls, a_client_that_does_not_verify_takes_any_certificate) {
    both_sides tls;
    const auto expired = server_context(tls.made.issue("DNS:other", -10, certificates::signer::itself));
    EXPECT_EQ(run(refusal(expired, tls_context::client({.verify = false}), "localhost")), "connected");
}

TEST(tls, a_server_may_ask_clients_for_a_certificate) {
    const unread_errors unread;
    both_sides tls;
    const auto own = tls.made.issue("DNS:localhost");
    const auto asking = tls_context::server(
        {.certificate_file = own.certificate, .key_file = own.key, .client_ca_file = tls.made.authority_file()});
    const auto of_client = tls.made.issue("DNS:client");
    const auto known = tls_context::client(
        {.ca_file = tls.made.authority_file(), .certificate_file = of_client.certificate, .key_file = of_client.key});
    auto main = [&]() -> coro<> {
        std::vector<std::string> subjects;
        auto tell = [&](stream_reader, stream_writer writer) -> coro<> {
            subjects.push_back(writer.tls().value().peer_certificate);
            writer.write("welcome");
            co_return;
        };
        server asks = co_await start_server(tell, "127.0.0.1", 0, {.tls = &asking});
        connection welcome =
            co_await open_connection("127.0.0.1", asks.port(), {.tls = &known, .tls_server_name = "localhost"});
        const std::string answer = co_await welcome.reader.read();
        EXPECT_EQ(answer, "welcome");
        EXPECT_THAT(subjects, ElementsAre("CN = test 4"));
        connection stranger =
            co_await open_connection("127.0.0.1", asks.port(), {.tls = &tls.client, .tls_server_name = "localhost"});
        try {
            co_await stranger.reader.read();
            ADD_FAILURE();
        } catch (const tls_error& error) {
            EXPECT_THAT(error.what(), HasSubstr("certificate required"));
        }
        EXPECT_EQ(subjects.size(), 1U);
    };
    run(main());
}

TEST(tls, alpn_agrees_on_the_first_that_the_server_prefers) {
    both_sides tls;
    const auto own = tls.made.issue("DNS:localhost");
    const auto speaks =
        tls_context::server({.certificate_file = own.certificate, .key_file = own.key, .alpn = {"h2", "http/1.1"}});
    auto main = [&]() -> coro<> {
        auto nothing = [](stream_reader, stream_writer) -> coro<> { co_return; };
        server listening = co_await start_server(nothing, "127.0.0.1", 0, {.tls = &speaks});
        std::vector<std::string> agreed;
        std::vector<std::vector<std::string>> offers;
        offers.push_back({"http/1.1", "h2"});
        offers.push_back({"http/1.1"});
        offers.push_back({"gopher"});
        for (const auto& offer : offers) {
            const auto client = tls_context::client({.ca_file = tls.made.authority_file(), .alpn = offer});
            connection peer = co_await open_connection("127.0.0.1", listening.port(),
                                                       {.tls = &client, .tls_server_name = "localhost"});
            agreed.push_back(peer.writer.tls().value().alpn);
        }
        EXPECT_THAT(agreed, ElementsAre("h2", "http/1.1", ""));
    };
    run(main());
}

TEST(tls, a_version_that_is_too_old_for_the_server_is_refused) {
    const unread_errors unread;
    both_sides tls;
    const auto own = tls.made.issue("DNS:localhost");
    const auto modern = tls_context::server(
        {.certificate_file = own.certificate, .key_file = own.key, .min_version = tls_version::v1_3});
    EXPECT_EQ(run(refusal(modern, tls.client, "localhost")), "connected");
    const auto old = tls_context::client({.ca_file = tls.made.authority_file(), .max_version = tls_version::v1_2});
    EXPECT_THAT(run(refusal(modern, old, "localhost")), HasSubstr("protocol version"));
    EXPECT_EQ(run(refusal(tls.server, old, "localhost")), "connected");
}

TEST(tls, a_client_hears_that_its_peer_does_not_speak_tls) {
    const both_sides tls;
    auto main = [&]() -> coro<> {
        auto answer_http = [](stream_reader reader, stream_writer writer) -> coro<> {
            co_await reader.read(100);
            writer.write("HTTP/1.1 400 Bad Request\r\n\r\n");
            co_await reader.read();
        };
        server plain = co_await start_server(answer_http, "127.0.0.1", 0);
        const auto before = open_descriptors();
        try {
            co_await open_connection("127.0.0.1", plain.port(), {.tls = &tls.client});
            ADD_FAILURE();
        } catch (const tls_error& error) {
            EXPECT_EQ(error.what(), "TLS with 127.0.0.1:" + std::to_string(plain.port()) +
                                        ": the peer does not speak TLS (wrong version number)");
        }
        while (plain.client_count() > 0) co_await sleep(0s);
        EXPECT_EQ(open_descriptors(), before);
    };
    run(main());
}

TEST(tls, a_server_reports_garbage_and_goes_on) {
    const both_sides tls;
    auto main = [&]() -> coro<> {
        std::vector<std::string> errors;
        get_running_loop().set_exception_handler(
            [&](const std::exception_ptr& error, std::string_view) { errors.push_back(tercet::describe(error)); });
        server echo_server = co_await start_server(&echo, "127.0.0.1", 0, {.tls = &tls.server});
        connection garbage = co_await open_connection("127.0.0.1", echo_server.port());
        garbage.writer.write("GET / HTTP/1.1\r\n\r\n");
        co_await garbage.reader.read();
        connection silent = co_await open_connection("127.0.0.1", echo_server.port());
        silent.writer.close();
        while (errors.size() < 2) co_await sleep(0s);
        EXPECT_THAT(errors, ElementsAre(HasSubstr("the peer does not speak TLS (http request)"),
                                        HasSubstr("the peer ended the connection during the handshake")));
        connection peer = co_await open_connection("127.0.0.1", echo_server.port(), {.tls = &tls.client});
        peer.writer.write("x");
        const std::string answer = co_await peer.reader.read_exactly(1);
        EXPECT_EQ(answer, "x");
    };
    run(main());
}

TEST(tls, a_handshake_that_does_not_come_is_bounded_on_both_sides) {
    const both_sides tls;
    auto main = [&]() -> coro<> {
        std::vector<std::string> errors;
        get_running_loop().set_exception_handler(
            [&](const std::exception_ptr& error, std::string_view) { errors.push_back(tercet::describe(error)); });
        const auto before = open_descriptors();
        {
            auto keep_silent = [](stream_reader reader, stream_writer) -> coro<> { co_await reader.read(); };
            server silent = co_await start_server(keep_silent, "127.0.0.1", 0);
            try {
                co_await open_connection("127.0.0.1", silent.port(),
                                         {.tls = &tls.client, .tls_handshake_timeout = 5ms});
                ADD_FAILURE();
            } catch (const tercet::timeout_error& error) {
                EXPECT_THAT(error.what(), HasSubstr("TLS with 127.0.0.1"));
            }
            silent.abort_clients();
            while (silent.client_count() > 0) co_await sleep(0s);
            server waiting =
                co_await start_server(&echo, "127.0.0.1", 0, {.tls = &tls.server, .tls_handshake_timeout = 5ms});
            connection idle = co_await open_connection("127.0.0.1", waiting.port());
            while (errors.empty()) co_await sleep(1ms);
            EXPECT_THAT(errors.front(), HasSubstr("no handshake within 0.005 s"));
        }
        while (all_tasks().size() > 1) co_await sleep(0s);
        EXPECT_EQ(open_descriptors(), before);
    };
    run(main());
}

TEST(tls, a_connection_that_is_cut_is_an_error_unless_that_is_accepted) {
    both_sides tls;
    const auto own = tls.made.issue("DNS:localhost");
    for (const bool is_accepted : {false, true}) {
        const auto tolerant = tls_context::server(
            {.certificate_file = own.certificate, .key_file = own.key, .accept_truncation = is_accepted});
        auto main = [&]() -> coro<> {
            std::string outcome;
            event done;
            auto collect = [&](stream_reader reader, stream_writer) -> coro<> {
                try {
                    outcome = co_await reader.read();
                } catch (const tls_error& error) {
                    outcome = error.what();
                }
                done.set();
            };
            server collector = co_await start_server(collect, "127.0.0.1", 0, {.tls = &tolerant});
            // Between the two stands somebody who ends the connection in the middle.
            auto cut = [&](stream_reader reader, stream_writer writer) -> coro<> {
                connection onward = co_await open_connection("127.0.0.1", collector.port());
                stream_reader backward_reader = onward.reader;
                auto backward = [&]() -> coro<> {
                    for (;;) {
                        const std::string data = co_await backward_reader.read(65536);
                        if (data.empty()) co_return;
                        writer.write(data);
                    }
                };
                task<> answering = create_task(backward());
                std::size_t passed = 0;
                while (outcome.empty() && passed < 100'000) {
                    const std::string data = co_await reader.read(65536);
                    passed += data.size();
                    onward.writer.write(data);
                }
                onward.writer.write_eof();
                co_await answering;
            };
            server cutter = co_await start_server(cut, "127.0.0.1", 0);
            connection peer = co_await open_connection("127.0.0.1", cutter.port(),
                                                       {.tls = &tls.client, .tls_server_name = "localhost"});
            peer.writer.write(std::string(150'000, 'x'));
            co_await done.wait();
            if (is_accepted)
                EXPECT_THAT(outcome, AllOf(HasSubstr("xxxx"), testing::Not(HasSubstr("TLS"))));
            else
                EXPECT_THAT(outcome, HasSubstr("the connection was cut: it ended without TLS having said so"));
            peer.writer.abort();
            cutter.abort_clients();
        };
        run(main());
    }
}

TEST(tls, closing_here_wakes_a_reader_and_a_second_reader_is_an_error) {
    const both_sides tls;
    auto main = [&]() -> coro<> {
        server echo_server = co_await start_server(&echo, "127.0.0.1", 0, {.tls = &tls.server});
        connection peer = co_await open_connection("127.0.0.1", echo_server.port(), {.tls = &tls.client});
        task<std::string> reading = create_task(peer.reader.read(1));
        co_await sleep(0s);
        bool is_busy = false;
        try {
            co_await peer.reader.read(1);
        } catch (const tercet::invalid_state_error&) {
            is_busy = true;
        }
        EXPECT_TRUE(is_busy);
        peer.writer.close();
        int error = 0;
        try {
            co_await reading;
        } catch (const std::system_error& ended) {
            error = ended.code().value();
        }
        EXPECT_EQ(error, ECONNABORTED);
        co_await peer.writer.wait_closed();
    };
    run(main());
}

TEST(tls, files_and_lines_pass_too) {
    const both_sides tls;
    const temporary_folder folder;
    const std::string content = numbers(500'000);
    std::ofstream(folder.path_of("file"), std::ios::binary) << content;
    const int file = ::open(folder.path_of("file").c_str(), O_RDONLY | O_CLOEXEC);
    auto main = [&]() -> coro<> {
        auto send = [&](stream_reader, stream_writer writer) -> coro<> {
            const std::vector<std::string_view> lines{"one\n", "two\n"};
            writer.writelines(lines);
            const std::uint64_t sent = co_await sendfile(writer, file, 10);
            EXPECT_EQ(sent, content.size() - 10);
        };
        server sender = co_await start_server(send, "127.0.0.1", 0, {.tls = &tls.server});
        connection peer = co_await open_connection("127.0.0.1", sender.port(), {.tls = &tls.client});
        const std::string received = co_await peer.reader.read();
        EXPECT_TRUE(received == "one\ntwo\n" + content.substr(10));
    };
    run(main());
    ::close(file);
}

TEST(tls, unix_sockets_carry_it_too) {
    const both_sides tls;
    const temporary_folder folder;
    auto main = [&]() -> coro<> {
        server echo_server = co_await start_unix_server(&echo, folder.path_of("echo.socket"), {.tls = &tls.server});
        connection peer = co_await open_unix_connection(folder.path_of("echo.socket"),
                                                        {.tls = &tls.client, .tls_server_name = "localhost"});
        peer.writer.write("x");
        const std::string answer = co_await peer.reader.read_exactly(1);
        EXPECT_EQ(answer, "x");
    };
    run(main());
}

TEST(tls, a_context_names_the_file_that_it_cannot_use) {
    certificates made;
    const auto one = made.issue("DNS:localhost");
    const auto other = made.issue("DNS:localhost");
    const temporary_folder folder;
    const std::string garbage = folder.path_of("garbage.pem");
    std::ofstream(garbage) << "no certificate";
    const auto error_of = [](auto make) -> std::string {
        try {
            make();
        } catch (const tls_error& error) {
            return error.what();
        }
        return "none";
    };
    EXPECT_EQ(error_of([] { tls_context::client({.ca_file = "/nowhere/ca.pem"}); }),
              "TLS: ca_file /nowhere/ca.pem: No such file or directory");
    EXPECT_THAT(error_of([&] { tls_context::server({.certificate_file = garbage, .key_file = one.key}); }),
                HasSubstr("TLS: certificate_file " + garbage + ": "));
    EXPECT_THAT(error_of([&] { tls_context::server({.certificate_file = one.certificate, .key_file = other.key}); }),
                AllOf(HasSubstr("TLS: key_file " + other.key), HasSubstr("key values mismatch")));
    EXPECT_THAT(error_of([] { tls_context::client({.alpn = {""}}); }), HasSubstr("alpn"));
}

TEST(tls, connections_come_and_go_and_nothing_is_left) {
    const both_sides tls;
    auto main = [&]() -> coro<> {
        server echo_server = co_await start_server(&echo, "127.0.0.1", 0, {.tls = &tls.server});
        const auto before = open_descriptors();
        auto talk = [&](bool is_aborted) -> coro<> {
            connection peer = co_await open_connection("127.0.0.1", echo_server.port(), {.tls = &tls.client});
            peer.writer.write("hello\n");
            const std::string line = co_await peer.reader.read_line();
            EXPECT_EQ(line, "hello\n");
            if (is_aborted) peer.writer.write_eof();
        };
        for (int round = 0; round < 3; ++round) {
            std::vector<coro<>> talks;
            for (int i = 0; i < 20; ++i) talks.push_back(talk(i % 2 == 0));
            co_await gather(std::move(talks));
        }
        while (echo_server.client_count() > 0) co_await sleep(1ms);
        while (open_descriptors() != before) co_await sleep(1ms);
        EXPECT_EQ(all_tasks().size(), 2U);
    };
    run(main());
}

TEST(tls, connections_that_close_when_the_loop_ends_are_dropped) {
    const both_sides tls;
    const auto before = open_descriptors();
    auto main = [&]() -> coro<> {
        auto keep = [](stream_reader, stream_writer) -> coro<> { co_await sleep(1h); };
        server keeper = co_await start_server(keep, "127.0.0.1", 0, {.tls = &tls.server});
        connection peer = co_await open_connection("127.0.0.1", keeper.port(), {.tls = &tls.client});
        peer.writer.close();
    };
    run(main());
    EXPECT_EQ(open_descriptors(), before);
}
