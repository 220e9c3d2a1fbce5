"""What the workers of pools.py are called with.

In a module of its own, because loky sends the functions of a main program by value, and their counter with them.
"""

import math
import os
import time

calls_here = 0


def count_call():
    global calls_here
    calls_here += 1


def report_together(path, flags):
    os.close(os.open(path, flags))  # which waits for the other end
    return os.getpid(), calls_here


def hold(path):
    fd = os.open(path, os.O_WRONLY)
    os.write(fd, b"%8d" % os.getpid())
    os.close(fd)
    time.sleep(3600)


def next_number(i):
    return i + 1


def change_ends(doubles):
    doubles[0] += 1
    doubles[-1] += 1
    return doubles


def sum_of_roots(n):
    return sum(map(math.sqrt, range(n)))
