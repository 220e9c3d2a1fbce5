"""pools.py POOL ROW: prints a figure of a process pool of Python, in the unit that the row has.

For idle and idle_memory it prints the pids of the two workers. It waits to be killed then, with its workers. The work
is that of work.hpp and tercet_pool.cpp.
"""

import array
import concurrent.futures
import math
import multiprocessing
import os
import signal
import statistics
import sys
import tempfile
import threading
import time
import traceback

from pool_calls import change_ends, count_call, hold, next_number, report_together, sum_of_roots

CALLS = 10_000
ITEMS = 100_000
ROUND_TRIPS = 2_000


# The pools. submit() returns what waits for the result.

class MpPool:
    def __init__(self, workers):
        self.pool = multiprocessing.Pool(workers)

    def submit(self, fn, *args):
        return self.pool.apply_async(fn, args).get


class Executor:
    def __init__(self, workers):
        self.pool = self.make(workers)

    def submit(self, fn, *args):
        return self.pool.submit(fn, *args).result


class ProcessPoolExecutor(Executor):
    make = concurrent.futures.ProcessPoolExecutor


class Forkserver(Executor):
    def make(self, workers):
        context = multiprocessing.get_context("forkserver")
        return concurrent.futures.ProcessPoolExecutor(workers, mp_context=context)


class Loky(Executor):
    def make(self, workers):
        from joblib.externals import loky
        return loky.ProcessPoolExecutor(workers)


POOLS = {"mp.Pool": MpPool, "ProcessPoolExecutor": ProcessPoolExecutor, "forkserver": Forkserver, "loky": Loky}


# The rows.

def check(is_right, what):
    if not is_right:
        raise AssertionError("wrong result: " + what)


def ask_both(pool, path):
    first = pool.submit(report_together, path, os.O_RDONLY)
    second = pool.submit(report_together, path, os.O_WRONLY)
    (pid, count), (other_pid, other_count) = first(), second()
    check(pid != other_pid, "one worker answered twice")
    return [pid, other_pid], count + other_count


def check_calls(pool, path, expected):
    check(ask_both(pool, path)[1] == expected, "how many calls were made")


def ready(pool, path):
    made = pool(2)
    check_calls(made, path, 0)
    return made


def grow():
    """2 GiB that were written to, and 8 threads."""
    global memory
    memory = bytearray(2 << 30)
    memory[::4096] = b"\1" * (len(memory) // 4096)
    for _ in range(7):
        threading.Thread(target=threading.Event().wait, daemon=True).start()


def start(make, path):
    grow()
    begin = time.perf_counter()
    pool = make(2)
    ask_both(pool, path)
    return (time.perf_counter() - begin) * 1e3


class HeldPool:
    def __init__(self, make, path, max_workers):
        self.path = path
        self.reader = os.open(path, os.O_RDWR)
        self.pool = make(max_workers)
        self.pids = []
        for _ in range(2):
            self.hold_one()

    def hold_one(self):
        self.pool.submit(hold, self.path)
        self.pids.append(int(os.read(self.reader, 8)))


def add_worker(make, path):
    count = 10
    grow()
    held = HeldPool(make, path, 2 + count)
    took = []
    for _ in range(count):
        begin = time.perf_counter()
        pid = held.pool.submit(os.getpid)()
        took.append((time.perf_counter() - begin) * 1e3)
        held.hold_one()
        check(pid == held.pids[-1], "a worker that was held has answered")
    return statistics.median(took)


def rtt(make, path):
    pool = ready(make, path)
    for _ in range(ROUND_TRIPS // 10):
        pool.submit(count_call)()
    begin = time.perf_counter()
    for _ in range(ROUND_TRIPS):
        pool.submit(count_call)()
    took = (time.perf_counter() - begin) * 1e6 / ROUND_TRIPS
    check_calls(pool, path, ROUND_TRIPS // 10 + ROUND_TRIPS)
    return took


def rtt_idle(make, path):
    pool = ready(make, path)
    took = []
    for _ in range(310):
        time.sleep(0.001)
        begin = time.perf_counter()
        pool.submit(count_call)()
        took.append((time.perf_counter() - begin) * 1e6)
    check_calls(pool, path, 310)
    return statistics.median(took[10:])


def tput(make, path):
    pool = ready(make, path)
    for count in CALLS // 10, CALLS:
        begin = time.perf_counter()
        results = [pool.submit(count_call) for _ in range(count)]
        for each in results:
            each()
        took = (time.perf_counter() - begin) * 1e6 / count
    check_calls(pool, path, CALLS // 10 + CALLS)
    return took


def tput_map(make, path):
    pool = ready(make, path)
    for _ in range(2):
        begin = time.perf_counter()
        results = pool.pool.map(next_number, range(ITEMS))
        took = (time.perf_counter() - begin) * 1e6 / ITEMS
        check(results == list(range(1, ITEMS + 1)), "an item of the map")
    return took


def array_copy(make, path):
    pool = ready(make, path)
    doubles = array.array("d", map(float, range(1000))) * 12_500
    expected = change_ends(doubles[:])
    for _ in range(2):
        begin = time.perf_counter()
        back = pool.submit(change_ends, doubles)()
        took = (time.perf_counter() - begin) * 1e3
        check(back.tobytes() == expected.tobytes(), "an array")
    return took


def sqrt4(make, path):
    pool = ready(make, path)
    n = 10_000_000
    begin = time.perf_counter()
    sums = [pool.submit(sum_of_roots, n) for _ in range(4)]
    total = sum(each() for each in sums)
    took = (time.perf_counter() - begin) * 1e3
    check(math.isclose(total, 4 * (2 / 3 * n**1.5 - n**0.5 / 2), rel_tol=1e-9), "a sum of square roots")
    return took


def idle(make, path):
    global idle_pool  # which is not to end with this function
    idle_pool = make(2)
    return "%d %d" % tuple(ask_both(idle_pool, path)[0])


def recover(make, path):
    held = HeldPool(make, path, 2)
    took = []
    for _ in range(5):
        result = held.pool.submit(os.getpid)
        begin = time.perf_counter()
        os.kill(held.pids.pop(0), signal.SIGKILL)
        pid = result()
        took.append((time.perf_counter() - begin) * 1e3)
        held.hold_one()
        check(pid == held.pids[-1], "a worker that was held has answered")
    return statistics.median(took)


idle_memory = idle


def main(pool, row):
    directory = tempfile.mkdtemp(prefix="tercet-benchmark-")
    path = os.path.join(directory, "pipe")
    os.mkfifo(path)
    figure = ""  # what says that there is none
    try:
        figure = globals()[row](POOLS[pool], path)
    except BaseException:
        traceback.print_exc()
    os.unlink(path)
    os.rmdir(directory)
    print(figure, flush=True)
    signal.pause()


if __name__ == "__main__":
    main(*sys.argv[1:])
