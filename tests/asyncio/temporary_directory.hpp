#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <string>

/// A directory that goes with everything in it.
class temporary_directory {
public:
    temporary_directory() : path_((std::filesystem::temp_directory_path() / "tercet-XXXXXX").string()) {
        if (!::mkdtemp(path_.data())) ADD_FAILURE() << "mkdtemp " << path_;
    }
    temporary_directory(const temporary_directory&) = delete;
    temporary_directory& operator=(const temporary_directory&) = delete;
    ~temporary_directory() { std::filesystem::remove_all(path_); }

    std::string operator/(const std::string& name) const { return path_ + '/' + name; }
    const std::string& path() const noexcept { return path_; }

private:
    std::string path_;
};
