// sqlite_workers: four threads insert rows into one SQLite database, each over a connection of its own.
#include <tercet/threading.hpp>

#include <sqlite3.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

constexpr int worker_count = 4;
constexpr int rows_each = 10;
constexpr int busy_timeout_ms = 60'000;

/// A connection is for one thread. Those of several threads take turns in the file: who finds it locked tries again
/// until the busy timeout is over. Each statement is a transaction of its own, which asks for the write lock first; one
/// that read before it wrote would have to BEGIN IMMEDIATE, for SQLite refuses at once to wait with a read lock.
class connection {
public:
    explicit connection(const std::string& path) {
        sqlite3* opened = nullptr;
        const int code = ::sqlite3_open(path.c_str(), &opened);
        handle_.reset(opened);  // also when it failed: it has the message
        check(code, "open");
        check(::sqlite3_busy_timeout(opened, busy_timeout_ms), "busy_timeout");
    }

    /// Runs `sql` with text in place of its question marks. Returns the number that comes first in the first row, or 0.
    int execute(const std::string& sql, const std::vector<std::string>& values = {}) {
        sqlite3_stmt* prepared = nullptr;
        check(::sqlite3_prepare_v2(handle_.get(), sql.c_str(), -1, &prepared, nullptr), sql);
        const std::unique_ptr<sqlite3_stmt, int (*)(sqlite3_stmt*)> statement(prepared, ::sqlite3_finalize);
        for (int i = 0; const auto& value : values)
            check(::sqlite3_bind_text(prepared, ++i, value.c_str(), -1, SQLITE_STATIC), sql);
        int code = ::sqlite3_step(prepared);
        const int number = code == SQLITE_ROW ? ::sqlite3_column_int(prepared, 0) : 0;
        while (code == SQLITE_ROW) code = ::sqlite3_step(prepared);
        check(code == SQLITE_DONE ? SQLITE_OK : code, sql);
        return number;
    }

private:
    void check(int code, const std::string& what) {
        if (code != SQLITE_OK) throw std::runtime_error(what + ": " + ::sqlite3_errmsg(handle_.get()));
    }
    std::unique_ptr<sqlite3, int (*)(sqlite3*)> handle_{nullptr, ::sqlite3_close};
};

/// Gone with everything in it at the end of the program.
struct temporary_directory {
    std::string path = (std::filesystem::temp_directory_path() / "sqlite_workers.XXXXXX").string();
    temporary_directory() {
        if (!::mkdtemp(path.data())) throw std::system_error(errno, std::generic_category(), "mkdtemp " + path);
    }
    ~temporary_directory() {
        std::error_code ignored;
        std::filesystem::remove_all(path, ignored);
    }
};

void insert_rows(const std::string& path, int worker) {
    connection database(path);
    for (int i = 0; i < rows_each; ++i) {
        const std::string name = "user" + std::to_string(worker) + "_" + std::to_string(i);
        database.execute("INSERT INTO users (name, email) VALUES (?, ?)", {name, name + "@example.com"});
    }
}

int main() try {
    const temporary_directory directory;
    const std::string path = directory.path + "/users.db";
    connection database(path);
    database.execute("CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT UNIQUE, email TEXT)");

    std::vector<tercet::threading::thread> workers;
    for (int i = 0; i < worker_count; ++i) workers.emplace_back(insert_rows, path, i).start();
    for (auto& each : workers) each.join();  // throws what a worker threw

    const int count = database.execute("SELECT COUNT(*) FROM users");
    std::printf("%d rows from %d threads\n", count, worker_count);
    if (count == worker_count * rows_each) return 0;
    std::fprintf(stderr, "sqlite_workers: there should be %d rows\n", worker_count * rows_each);
    return 1;
} catch (const std::exception& error) {
    std::fprintf(stderr, "sqlite_workers: %s\n", error.what());
    return 1;
}
