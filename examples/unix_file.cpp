// unix_file: a server at a Unix socket that sends files by sendfile, without copying them through the program.
#include <tercet/asyncio.hpp>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>

using namespace tercet::asyncio;

/// A line with a path, then the file.
coro<> send_file(stream_reader reader, stream_writer writer) {
    std::string path = co_await reader.read_line();
    path.pop_back();
    const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "rb"), &std::fclose);
    if (file) co_await sendfile(writer, ::fileno(file.get()));
}

coro<std::size_t> fetch(std::string socket, std::string path) {
    connection peer = co_await open_unix_connection(socket);
    peer.writer.write(path + "\n");
    const std::string content = co_await peer.reader.read();
    co_return content.size();
}

coro<> demo(std::filesystem::path folder) {
    const std::string socket = (folder / "socket").string();
    const std::string path = (folder / "file").string();
    std::ofstream(path) << std::string(1'000'000, 'x');
    const server listening = co_await start_unix_server(&send_file, socket);
    const std::size_t size = co_await fetch(socket, path);
    std::printf("%zu bytes\n", size);
    const std::size_t none = co_await fetch(socket, path + ".missing");
    std::printf("%zu bytes\n", none);
}

int main() {
    const auto folder = std::filesystem::temp_directory_path() / ("tercet-unix-file-" + std::to_string(::getpid()));
    std::filesystem::create_directory(folder);
    run(demo(folder));
    std::filesystem::remove_all(folder);
}
