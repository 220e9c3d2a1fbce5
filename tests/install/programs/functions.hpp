#pragma once

/// Of a shared library, null in programs that are not linked with it.
__attribute__((weak)) int in_library(int n);
