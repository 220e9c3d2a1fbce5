#pragma once

#include <tercet/multiprocessing/capture.hpp>
#include <tercet/multiprocessing/client.hpp>
#include <tercet/multiprocessing/codec.hpp>
#include <tercet/multiprocessing/connection.hpp>
#include <tercet/multiprocessing/errors.hpp>
#include <tercet/multiprocessing/guard.hpp>
#include <tercet/multiprocessing/joinable_queue.hpp>
#include <tercet/multiprocessing/listener.hpp>
#include <tercet/multiprocessing/pipe.hpp>
#include <tercet/multiprocessing/process.hpp>
#include <tercet/multiprocessing/process_pool_executor.hpp>
#include <tercet/multiprocessing/queue.hpp>
#include <tercet/multiprocessing/remote_exception.hpp>
#include <tercet/multiprocessing/simple_queue.hpp>
#include <tercet/multiprocessing/wait_ready.hpp>
