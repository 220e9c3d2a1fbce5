#pragma once

#include <tercet/asyncio.hpp>

#include "asyncio/certificates.hpp"

inline tercet::asyncio::tls_context server_context(const certificates::files& own) {
    return tercet::asyncio::tls_context::server({.certificate_file = own.certificate, .key_file = own.key});
}

/// What both sides need: a server's certificate for "localhost" and 127.0.0.1, and a client who trusts it.
struct both_sides {
    certificates made;
    tercet::asyncio::tls_context server = server_context(made.issue("DNS:localhost,IP:127.0.0.1"));
    tercet::asyncio::tls_context client = tercet::asyncio::tls_context::client({.ca_file = made.authority_file()});
};
