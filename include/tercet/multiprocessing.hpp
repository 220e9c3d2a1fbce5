#pragma once

#include <tercet/multiprocessing/capture.hpp>
#include <tercet/multiprocessing/codec.hpp>
#include <tercet/multiprocessing/errors.hpp>
#include <tercet/multiprocessing/guard.hpp>
#include <tercet/multiprocessing/process_pool_executor.hpp>
#include <tercet/multiprocessing/remote_exception.hpp>
