// image_batch: pictures are halved in size, smoothed and compressed, each in a process of a pool. They are given out
// and taken back a few at a time, so a folder of any size would do.
#include <tercet/multiprocessing.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <ranges>
#include <string>
#include <utility>
#include <vector>

namespace multiprocessing = tercet::multiprocessing;

/// Shades of grey, line by line.
struct picture {
    std::string name;
    std::size_t width = 0;
    std::size_t height = 0;
    std::vector<std::uint8_t> pixels;

    unsigned at(std::size_t x, std::size_t y) const {
        return pixels[std::min(y, height - 1) * width + std::min(x, width - 1)];
    }
};

/// What a file would be read for: discs of one grey on a ground of another.
picture read_picture(int number) {
    picture made{"picture-" + std::to_string(number), 640, 480, {}};
    made.pixels.resize(made.width * made.height);
    const std::size_t radius = 40 + 10 * static_cast<std::size_t>(number);
    for (std::size_t y = 0; y < made.height; ++y)
        for (std::size_t x = 0; x < made.width; ++x) {
            const auto from_centre = [radius](std::size_t place) {
                const auto inside = place % (2 * radius);
                return inside < radius ? radius - inside : inside - radius;
            };
            const bool is_in_disc = from_centre(x) * from_centre(x) + from_centre(y) * from_centre(y) < radius * radius;
            made.pixels[y * made.width + x] = is_in_disc ? 200 : 30;
        }
    return made;
}

/// The mean of `size` times `size` pixels, for each place that is a multiple of `step`.
picture average(const picture& from, std::size_t size, std::size_t step) {
    picture made{from.name, from.width / step, from.height / step, {}};
    made.pixels.reserve(made.width * made.height);
    for (std::size_t y = 0; y < made.height; ++y)
        for (std::size_t x = 0; x < made.width; ++x) {
            unsigned sum = 0;
            for (std::size_t dy = 0; dy < size; ++dy)
                for (std::size_t dx = 0; dx < size; ++dx) sum += from.at(x * step + dx, y * step + dy);
            made.pixels.push_back(static_cast<std::uint8_t>(sum / (size * size)));
        }
    return made;
}

/// Pairs of a count and a shade.
std::vector<std::uint8_t> compress(const picture& from) {
    std::vector<std::uint8_t> pairs;
    for (const std::uint8_t pixel : from.pixels) {
        if (!pairs.empty() && pairs.back() == pixel && pairs[pairs.size() - 2] < 255) {
            ++pairs[pairs.size() - 2];
        } else {
            pairs.push_back(1);
            pairs.push_back(pixel);
        }
    }
    return pairs;
}

struct thumbnail {
    std::string name;
    std::size_t width = 0;
    std::size_t height = 0;
    std::vector<std::uint8_t> compressed;
};

thumbnail process_picture(const picture& full) {
    const picture smooth = average(average(full, 2, 2), 3, 1);
    return {smooth.name, smooth.width, smooth.height, compress(smooth)};
}

int main() try {
    multiprocessing::pool pool;
    auto pictures = std::views::iota(1, 13) | std::views::transform(read_picture);
    std::size_t before = 0;
    std::size_t after = 0;
    for (const thumbnail& each : pool.imap(process_picture, pictures)) {
        before += each.width * each.height * 4;
        after += each.compressed.size();
        std::printf("%s: %zu x %zu\n", each.name.c_str(), each.width, each.height);
    }
    std::printf("%zu bytes became %zu\n", before, after);
} catch (const std::exception& error) {
    std::fprintf(stderr, "image_batch: %s\n", error.what());
    return 1;
}
