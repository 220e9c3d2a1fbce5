#pragma once

/// What the tests are compiled with; clang and g++ say it in different ways.
#ifdef __has_feature
inline constexpr bool is_under_address_sanitizer = __has_feature(address_sanitizer);
inline constexpr bool is_under_thread_sanitizer = __has_feature(thread_sanitizer);
#else
#ifdef __SANITIZE_ADDRESS__
inline constexpr bool is_under_address_sanitizer = true;
#else
inline constexpr bool is_under_address_sanitizer = false;
#endif
#ifdef __SANITIZE_THREAD__
inline constexpr bool is_under_thread_sanitizer = true;
#else
inline constexpr bool is_under_thread_sanitizer = false;
#endif
#endif
