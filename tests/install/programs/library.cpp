#include "functions.hpp"

int in_library(int n) { return n + 100; }
