#include <tercet/http/errors.hpp>
#include <tercet/http/response.hpp>
#include <tercet/http/url.hpp>

#include <fmt/format.h>

namespace tercet::http {

void response::raise_for_status() const {
    if (ok()) return;
    throw error(fmt::format("{}: the server answered {}{}{}", without_credentials(url), status,
                            reason.empty() ? "" : " ", reason));
}

}  // namespace tercet::http
