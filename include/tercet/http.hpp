#pragma once

#include <tercet/http/client_session.hpp>
#include <tercet/http/errors.hpp>
#include <tercet/http/request.hpp>
#include <tercet/http/response.hpp>
#include <tercet/http/server.hpp>
#include <tercet/http/session.hpp>
#include <tercet/http/url.hpp>
