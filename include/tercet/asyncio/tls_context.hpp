#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tercet::asyncio {

class tls_context;
class tls_settings;

/// The versions of TLS that are spoken.
enum class tls_version : std::uint8_t { v1_2, v1_3 };

/// How a client uses TLS.
struct tls_client_options {
    /// Whether the server must have a certificate that is valid, for its name, and by an authority that is trusted.
    bool verify = true;
    std::string ca_file = {};            ///< PEM; the authorities that are trusted, in place of the system's
    std::string ca_directory = {};       ///< the same, one file each, named by their hashes (`openssl rehash`)
    std::string certificate_file = {};   ///< PEM; our own, with its chain, for servers that ask for one
    std::string key_file = {};           ///< PEM, without a passphrase
    std::vector<std::string> alpn = {};  ///< protocols, the preferred ones first: "h2", "http/1.1"
    tls_version min_version = tls_version::v1_2;
    tls_version max_version = tls_version::v1_3;
    /// A connection that ends without TLS having said so may have been cut by somebody between; that is an error unless
    /// this is set.
    bool accept_truncation = false;
};

/// How a server uses TLS.
struct tls_server_options {
    std::string certificate_file = {};  ///< PEM; the server's, with its chain
    std::string key_file = {};          ///< PEM, without a passphrase
    /// PEM; when it is set, clients must have a certificate by one of these authorities.
    std::string client_ca_file = {};
    /// Protocols, the preferred ones first. With a client that offers others, none is agreed upon.
    std::vector<std::string> alpn = {};
    tls_version min_version = tls_version::v1_2;
    tls_version max_version = tls_version::v1_3;
    bool accept_truncation = false;  ///< as for clients
    /// Called in each handshake, on the loop's thread, with the name by which the client calls the server, empty when
    /// it gives none. The server context that it returns takes the place of this one but for the versions: that is how
    /// one port has several names, or a certificate is renewed while the server runs. None: this one stays. The
    /// handshake fails with what it throws. Sessions of such a server are not resumed. Python's `sni_callback`.
    std::function<std::optional<tls_context>(std::string_view server_name)> choose = {};
};

/// How one side of connections uses TLS: certificates, what is trusted, versions. Cheap to copy; copies share one
/// configuration, which does not change. Any thread.
class tls_context {
public:
    /// For connections that we open. Throws `tls_error`: "TLS: ca_file /etc/ca.pem: No such file or directory".
    static tls_context client(const tls_client_options& options = {});
    /// For connections that we accept. Throws `tls_error`.
    static tls_context server(const tls_server_options& options);

    /// Whether it is for connections that we accept.
    bool is_server() const noexcept;
    const std::shared_ptr<const tls_settings>& settings() const noexcept { return settings_; }

private:
    explicit tls_context(std::shared_ptr<const tls_settings> settings) noexcept : settings_(std::move(settings)) {}

    std::shared_ptr<const tls_settings> settings_;
};

/// What the two sides of a connection have agreed upon.
struct tls_info {
    std::string version;           ///< "TLSv1.3"
    std::string cipher;            ///< "TLS_AES_256_GCM_SHA384"
    std::string alpn;              ///< the protocol, empty when there is none
    std::string server_name;       ///< by which the client called the server; empty when it gave none
    std::string peer_certificate;  ///< its subject, "CN = example.org"; empty when there is none
};

}  // namespace tercet::asyncio
