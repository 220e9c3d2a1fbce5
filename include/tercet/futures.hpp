#pragma once

#include <tercet/futures/as_completed.hpp>
#include <tercet/futures/errors.hpp>
#include <tercet/futures/executor.hpp>
#include <tercet/futures/future.hpp>
#include <tercet/futures/map_results.hpp>
#include <tercet/futures/sequential_executor.hpp>
#include <tercet/futures/shared_future.hpp>
#include <tercet/futures/time_limit.hpp>
#include <tercet/futures/usable_cpus.hpp>
#include <tercet/futures/wait.hpp>
