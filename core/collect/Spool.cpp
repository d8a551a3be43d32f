// SPDX-License-Identifier: GPL-3.0-or-later
#include "collect/Spool.h"

#include "base/AtomicFile.h"
#include "base/Error.h"
#include "collect/Hash.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <fstream>
#include <functional>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

namespace qkov::collect {
namespace {

constexpr std::uint64_t magic = 0x32304c4f4f505351ULL; // "QSPOOL02"

struct Header {
    std::uint64_t magic = 0;
    std::uint64_t samples = 0;
    std::uint64_t payload = 0;
    std::uint64_t checksum = 0; ///< of losses and payload
};

std::string because() {
    return std::string(" (") + std::strerror(errno) + ")";
}

void writeAll(int fd, const void* data, std::size_t bytes, const std::filesystem::path& file) {
    const auto* p = static_cast<const char*>(data);
    while (bytes > 0) {
        const ssize_t n = ::write(fd, p, bytes);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            throw InputError("can't be written" + because(), file, {}, "free some disk space");
        }
        p += n;
        bytes -= static_cast<std::size_t>(n);
    }
}

/// Called now and then: what was looked at need not stay in memory.
using Done = std::function<void()>;

/// Of gigabytes: eight sums side by side, since each step waits for the one before.
std::uint64_t hashOf(const std::byte* data, std::size_t bytes, const Done& done) {
    constexpr std::size_t lanes = 8;
    std::uint64_t state[lanes];
    for (std::size_t i = 0; i < lanes; ++i) {
        state[i] = 0xcbf29ce484222325ULL + i;
    }
    constexpr std::size_t stride = lanes * sizeof(std::uint64_t);
    constexpr std::size_t piece = std::size_t(8) << 20;
    const std::size_t whole = bytes / stride * stride;
    for (std::size_t at = 0; at < whole;) {
        for (const std::size_t end = std::min(whole, at + piece); at < end; at += stride) {
            std::uint64_t words[lanes];
            std::memcpy(words, data + at, stride);
            for (std::size_t i = 0; i < lanes; ++i) {
                state[i] = (state[i] ^ words[i]) * 0x100000001b3ULL;
                state[i] ^= state[i] >> 29;
            }
        }
        if (done) {
            done();
        }
    }
    Hash hash;
    hash.add(state, sizeof state);
    hash.add(data + whole, bytes - whole);
    return hash.value();
}

std::uint64_t checksum(const double* losses, std::size_t samples, const std::byte* payload,
                       std::size_t bytes, const Done& done) {
    Hash hash;
    hash.add(losses, samples * sizeof(double));
    hash.add(static_cast<std::int64_t>(hashOf(payload, bytes, done)));
    return hash.value();
}

} // namespace

SpooledBatch::SpooledBatch(SpooledBatch&& other) noexcept {
    *this = std::move(other);
}
SpooledBatch& SpooledBatch::operator=(SpooledBatch&& other) noexcept {
    std::swap(m_map, other.m_map);
    std::swap(m_mapBytes, other.m_mapBytes);
    std::swap(m_payload, other.m_payload);
    std::swap(m_payloadBytes, other.m_payloadBytes);
    std::swap(m_losses, other.m_losses);
    return *this;
}
SpooledBatch::~SpooledBatch() {
    if (m_map) {
        ::munmap(m_map, m_mapBytes);
    }
}

void SpooledBatch::release() const {
    ::madvise(m_map, m_mapBytes, MADV_DONTNEED);
}

Spool::Spool(const std::filesystem::path& dump, const std::string& fingerprint, bool resume)
    : m_folder(dump.string() + ".partial") {
    std::error_code error;
    const bool made = std::filesystem::create_directory(m_folder, error);
    if (error) {
        throw InputError("can't be written (" + error.message() + ")", m_folder);
    }
    const auto lockFile = m_folder / "lock";
    m_lock = ::open(lockFile.c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0644);
    if (m_lock < 0) {
        throw InputError("can't be written" + because(), m_folder);
    }
    // Released by the kernel with the process, however it ends.
    if (::flock(m_lock, LOCK_EX | LOCK_NB) != 0) {
        ::close(m_lock);
        throw InputError("is being written by another run", m_folder, {}, "wait for it to end");
    }
    const auto journal = m_folder / "journal";
    std::string before;
    if (std::ifstream in(journal); in) {
        std::getline(in, before);
    }
    if (resume && !made && !before.empty() && before != fingerprint) {
        ::close(m_lock);
        throw InputError(
            "holds unfinished work of another model, task files or options", m_folder, {},
            "repeat the first command with --resume, or leave --resume away to start afresh");
    }
    if (!resume || before != fingerprint) {
        for (const auto& entry : std::filesystem::directory_iterator(m_folder, error)) {
            if (entry.path() != lockFile) {
                std::filesystem::remove(entry.path(), error);
            }
        }
        try {
            writeTextFile(journal, fingerprint + "\n");
        } catch (...) {
            remove();
            throw;
        }
    }
}

Spool::~Spool() {
    if (m_lock >= 0) {
        ::close(m_lock);
    }
}

void Spool::remove() noexcept {
    std::error_code ignored;
    std::filesystem::remove_all(m_folder, ignored);
}

std::filesystem::path Spool::file(std::size_t task, std::size_t batch) const {
    return m_folder / (std::to_string(task) + "-" + std::to_string(batch));
}

bool Spool::has(std::size_t task, std::size_t batch) const {
    if (!std::filesystem::exists(file(task, batch))) {
        return false;
    }
    try {
        open(task, batch);
        return true;
    } catch (const InputError&) {
        return false; // torn by a crash of the machine: done again
    }
}

void Spool::write(std::size_t task, std::size_t batch, const std::vector<double>& losses,
                  const Payload& payload) {
    const auto target = file(task, batch);
    const auto temporary = target.string() + ".new";
    const int fd = ::open(temporary.c_str(), O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0644);
    if (fd < 0) {
        throw InputError("can't be written" + because(), temporary);
    }
    try {
        const Header header{
            magic, losses.size(), payload.size(),
            checksum(losses.data(), losses.size(), payload.data(), payload.size(), {})};
        writeAll(fd, &header, sizeof header, temporary);
        writeAll(fd, losses.data(), losses.size() * sizeof(double), temporary);
        writeAll(fd, payload.data(), payload.size(), temporary);
    } catch (...) {
        ::close(fd);
        ::unlink(temporary.c_str());
        throw;
    }
    if (::close(fd) != 0 || ::rename(temporary.c_str(), target.c_str()) != 0) {
        throw InputError("can't be written" + because(), target);
    }
    ++m_written;
}

SpooledBatch Spool::open(std::size_t task, std::size_t batch) const {
    const auto path = file(task, batch);
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        throw InputError("can't be read" + because(), path);
    }
    struct stat info {};
    const bool known = ::fstat(fd, &info) == 0;
    const auto bytes = known ? static_cast<std::size_t>(info.st_size) : 0;
    SpooledBatch result;
    if (bytes >= sizeof(Header)) {
        void* map = ::mmap(nullptr, bytes, PROT_READ, MAP_PRIVATE, fd, 0);
        if (map != MAP_FAILED) {
            result.m_map = map;
            result.m_mapBytes = bytes;
        }
    }
    ::close(fd);
    const auto damaged = [&] { throw InputError("is damaged", path, {}, "run without --resume"); };
    if (!result.m_map) {
        damaged();
    }
    Header header;
    std::memcpy(&header, result.m_map, sizeof header);
    const std::size_t rest = bytes - sizeof header;
    if (header.magic != magic || header.samples > rest / sizeof(double) ||
        header.payload != rest - header.samples * sizeof(double)) {
        damaged();
    }
    const auto* at = static_cast<const std::byte*>(result.m_map) + sizeof header;
    result.m_losses.resize(header.samples);
    std::memcpy(result.m_losses.data(), at, header.samples * sizeof(double));
    result.m_payload = at + header.samples * sizeof(double);
    result.m_payloadBytes = header.payload;
    if (checksum(result.m_losses.data(), header.samples, result.m_payload, header.payload,
                 [&result] { result.release(); }) != header.checksum) {
        damaged();
    }
    result.release();
    return result;
}

} // namespace qkov::collect
