// SPDX-License-Identifier: GPL-3.0-or-later
#include "DiskBench.h"

#include "BenchDump.h"
#include "base/Numbers.h"
#include "dump/DumpReader.h"
#include "dump/Hdf5.h"
#include "engine/Compute.h"
#include "engine/Run.h"
#include "engine/Tiles.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <fstream>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <sys/mman.h>
#include <thread>
#include <unistd.h>

namespace qkov::bench {

namespace {

double timeOf(const std::function<void()>& work) {
    const auto start = std::chrono::steady_clock::now();
    work();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

/// Pages of the file that are in memory, as a fraction; 1 where that can't be told.
double cachedShare(const std::filesystem::path& file) {
    const auto bytes = static_cast<std::size_t>(std::filesystem::file_size(file));
    const int fd = ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
    void* memory = ::mmap(nullptr, bytes, PROT_READ, MAP_SHARED, fd, 0);
    ::close(fd);
    if (memory == MAP_FAILED) {
        return 1;
    }
    const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
    std::vector<unsigned char> state((bytes + page - 1) / page);
    const bool told = ::mincore(memory, bytes, state.data()) == 0;
    ::munmap(memory, bytes);
    const auto here =
        std::count_if(state.begin(), state.end(), [](unsigned char s) { return (s & 1) != 0; });
    return told ? double(here) / double(state.size()) : 1;
}

/// Takes the file out of the page cache; false if more than a thousandth of it stays.
bool evict(const std::filesystem::path& file) {
    const int fd = ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
    const bool done = ::fsync(fd) == 0 && ::posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED) == 0;
    ::close(fd);
    return done && cachedShare(file) < 1e-3;
}

/// Bytes per second of one sequential read of a file that is on the disk alone.
/// @param large into memory in large pages, which lets the disk take requests of megabytes
double diskRate(const std::filesystem::path& file, int flags, bool large) {
    constexpr std::size_t atOnce = std::size_t(8) << 20, largePage = std::size_t(2) << 20;
    const std::unique_ptr<char, void (*)(void*)> buffer(
        static_cast<char*>(std::aligned_alloc(largePage, atOnce)), std::free);
    ::madvise(buffer.get(), atOnce, large ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
    std::memset(buffer.get(), 0, atOnce); // its pages are no part of the reading
    const int fd = ::open(file.c_str(), O_RDONLY | O_CLOEXEC | flags);
    if (fd < 0) {
        return 0;
    }
    ::posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
    double bytes = 0;
    const double seconds = timeOf([&] {
        for (ssize_t got = 0; (got = ::read(fd, buffer.get(), atOnce)) > 0;) {
            bytes += double(got);
        }
    });
    ::close(fd);
    return bytes / seconds;
}

/// Takes all tiles of the plan and gives each back at once. @return seconds
double loadAll(const dump::DumpReader& reader, const engine::ScoreRequest& request) {
    return timeOf([&] {
        const auto source = engine::makeDumpSource(reader);
        const auto backend = engine::makeCpuBackend(0);
        engine::Context context = engine::resolve(*source, request, {}, {});
        const auto bundles = engine::makeBundles(context);
        const engine::Plan plan =
            engine::makePlan(context, bundles, *backend, engine::tileBudget(context, *backend));
        Job job;
        engine::Loader loader(context, bundles, *backend, plan, true, job);
        for (const engine::Group& group : plan.groups) {
            for (const engine::TileSpec& spec : group.tiles) {
                loader.recycle(loader.take(group.bundle, spec));
            }
        }
    });
}

struct Median {
    double lowest = 0, middle = 0, highest = 0;
};
Median medianOf(std::vector<double> v) {
    std::sort(v.begin(), v.end());
    return {v.front(), v[v.size() / 2], v.back()};
}

engine::ScoreRequest request() {
    engine::ScoreRequest q;
    q.taskA = "a";
    q.taskB = "b";
    q.device = "cpu";
    q.mode = engine::Mode::structural;
    return q;
}

} // namespace

/// Few samples: little arithmetic per byte, so that the disk is the limit.
void fromDisk(const std::filesystem::path& folder, const Print& print) {
    const DumpSize size{24, 12, 64, 12};
    const std::filesystem::path file = folder / "bench_engine_disk.h5";
    std::printf("\nA dump that is on the disk alone (%s), %lld slices, %lld + %lld samples\n",
                formatBytes(double(bytes(size))).c_str(),
                static_cast<long long>(size.layers * 4 * size.heads),
                static_cast<long long>(size.samples), static_cast<long long>(size.samples));
    writeDump(file, size);
    const auto fileBytes = double(std::filesystem::file_size(file));
    const engine::ScoreRequest q = request();
    double opening = 0;
    const auto open = [&] {
        std::optional<dump::DumpReader> reader;
        opening = timeOf([&] { reader.emplace(file); });
        return reader;
    };
    const auto whole = [&] {
        return timeOf([&] {
            const auto reader = open();
            Job job;
            engine::compute(*engine::makeDumpSource(*reader), q, job);
        });
    };
    // Shuffled, many times, with a rest before each: shared disks have bursts that would favour
    // whichever measurement always comes at the same place.
    constexpr std::size_t rounds = 9;
    std::vector<double> plain, direct, fastest, loaded, computed, opened;
    std::mt19937 engine(
        static_cast<unsigned>(std::chrono::steady_clock::now().time_since_epoch().count()));
    std::array<int, 5> order{0, 1, 2, 3, 4};
    for (std::size_t round = 0; round < rounds; ++round) {
        std::shuffle(order.begin(), order.end(), engine);
        for (const int what : order) {
            if (!evict(file)) {
                std::printf("this file can't be taken out of the page cache here\n");
                std::filesystem::remove(file);
                return;
            }
            std::this_thread::sleep_for(std::chrono::milliseconds(500));
            if (what == 0) {
                plain.push_back(diskRate(file, 0, false));
            } else if (what == 1) {
                direct.push_back(diskRate(file, O_DIRECT, false));
            } else if (what == 2) {
                fastest.push_back(diskRate(file, O_DIRECT, true));
            } else if (what == 3) {
                const auto reader = open();
                loaded.push_back(fileBytes / loadAll(*reader, q));
            } else {
                computed.push_back(fileBytes / whole());
                opened.push_back(opening);
            }
        }
    }
    const auto told = [&](const std::string& key, const char* what, const std::vector<double>& v) {
        const Median m = medianOf(v);
        print(key.c_str(), what, m.middle / 1e9, "GB/s");
        print((key + "_lowest").c_str(), "  lowest", m.lowest / 1e9, "GB/s");
        print((key + "_highest").c_str(), "  highest", m.highest / 1e9, "GB/s");
        return m.middle;
    };
    told("disk_plain_gb_s", "raw sequential read, plain, median of 9", plain);
    const double usual =
        told("disk_direct_gb_s", "raw sequential read, O_DIRECT, median of 9", direct);
    const double raw = told("disk_large_gb_s", "the same into large pages, median of 9", fastest);
    const double alone = told("disk_loading_gb_s", "loading alone, median of 9", loaded);
    print("loading_over_direct", "  ratio to O_DIRECT", alone / usual, "");
    print("loading_over_large", "  ratio to the same into large pages", alone / raw, "");
    const double mine =
        told("disk_compute_gb_s", "compute, opening included, median of 9", computed);
    print("disk_over_direct", "  ratio to O_DIRECT", mine / usual, "");
    print("disk_over_large", "  ratio to the same into large pages", mine / raw, "");
    print("open_cold_ms", "opening alone, from the disk, median", medianOf(opened).middle * 1e3,
          "ms");
    double best = 1e300;
    loadAll(*open(), q); // brings the structure
    for (std::ifstream in(file, std::ios::binary); in;) {
        std::vector<char> some(std::size_t(8) << 20);
        in.read(some.data(), static_cast<std::streamsize>(some.size()));
    }
    for (int round = 0; round < 3; ++round) {
        best = std::min(best, whole());
    }
    print("disk_cached_gb_s", "compute from the page cache", fileBytes / best / 1e9, "GB/s");
    print("open_ms", "opening alone, from the page cache", opening * 1e3, "ms");
    std::filesystem::remove(file);
}

namespace {

/// Rewrites all gradients in chunks of some rows of a sample, shuffled, deflated, with checksums.
/// @return their paths
std::vector<std::string> compress(const std::filesystem::path& file, std::int64_t hidden,
                                  std::int64_t samples) {
    const h5::Lock lock;
    const h5::Handle id(H5Fopen(file.c_str(), H5F_ACC_RDWR, H5P_DEFAULT), H5Fclose);
    std::vector<std::string> paths;
    for (const char* task : {"a", "b"}) {
        for (const char* name : {"q_proj", "k_proj", "v_proj", "o_proj"}) {
            paths.push_back(std::string("/tasks/") + task + "/gradients/model.layers.0.self_attn." +
                            name + ".weight");
        }
    }
    std::vector<std::uint16_t> values(static_cast<std::size_t>(samples * hidden * hidden));
    for (const std::string& path : paths) {
        h5::Handle set(H5Dopen2(id.get(), path.c_str(), H5P_DEFAULT), H5Dclose);
        const h5::Handle type(H5Dget_type(set.get()), H5Tclose);
        const h5::Handle space(H5Dget_space(set.get()), H5Sclose);
        H5Dread(set.get(), type.get(), H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data());
        set = {};
        H5Ldelete(id.get(), path.c_str(), H5P_DEFAULT);
        const h5::Handle creation(H5Pcreate(H5P_DATASET_CREATE), H5Pclose);
        const hsize_t chunk[] = {1, 256, static_cast<hsize_t>(hidden)};
        H5Pset_chunk(creation.get(), 3, chunk);
        H5Pset_shuffle(creation.get());
        H5Pset_deflate(creation.get(), 1);
        H5Pset_fletcher32(creation.get());
        set = h5::Handle(H5Dcreate2(id.get(), path.c_str(), type.get(), space.get(), H5P_DEFAULT,
                                    creation.get(), H5P_DEFAULT),
                         H5Dclose);
        H5Dwrite(set.get(), type.get(), H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data());
    }
    return paths;
}

} // namespace

void compressed(const std::filesystem::path& folder, const Print& print) {
    const DumpSize size{1, 12, 64, 16};
    const std::filesystem::path file = folder / "bench_engine_compressed.h5";
    writeDump(file, size);
    const auto paths = compress(file, size.hidden(), size.samples);
    std::printf("\nA dump of compressed chunks (%s, shuffle, gzip, checksum) in the page cache\n",
                formatBytes(double(bytes(size))).c_str());
    std::vector<std::uint16_t> values(
        static_cast<std::size_t>(size.samples * size.hidden() * size.hidden()));
    const dump::DumpReader reader(file);
    double plain = 1e300;
    double ours = 1e300;
    for (int round = 0; round < 3; ++round) {
        plain = std::min(
            plain, timeOf([&] {
                const h5::Lock lock;
                const h5::Handle id(H5Fopen(file.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT), H5Fclose);
                for (const std::string& path : paths) {
                    const h5::Handle set(H5Dopen2(id.get(), path.c_str(), H5P_DEFAULT), H5Dclose);
                    const h5::Handle type(H5Dget_type(set.get()), H5Tclose);
                    H5Dread(set.get(), type.get(), H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data());
                }
            }));
        ours = std::min(ours, loadAll(reader, request()));
    }
    print("gzip_hdf5_mb_s", "one thread of HDF5, decompressed data",
          double(bytes(size)) / plain / 1e6, "MB/s");
    print("gzip_loading_mb_s", "loading alone", double(bytes(size)) / ours / 1e6, "MB/s");
    print("gzip_ratio", "  ratio", plain / ours, "x");
    std::filesystem::remove(file);
}

} // namespace qkov::bench
