// SPDX-License-Identifier: GPL-3.0-or-later
#include "dump/Probe.h"

#include "dump/Hdf5.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <fcntl.h>
#include <fstream>
#include <poll.h>
#include <string>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

namespace qkov::dump {
namespace {

constexpr int longestSeconds = 120;
constexpr int lookMilliseconds = 20; // between looks at the job
// HDF5 loops for ever over some damaged heaps. Sound structures take milliseconds.
constexpr rlim_t cpuSeconds = 3;
constexpr rlim_t bytesPerCpuSecond = rlim_t(16) << 20;
constexpr rlim_t extraBytes = rlim_t(2) << 30;
constexpr char good = 'K';
constexpr char refused = 'E';
constexpr std::size_t longestReply = 1 << 20;

rlim_t addressSpace() {
    std::ifstream in("/proc/self/statm");
    rlim_t pages = 0;
    return in >> pages ? pages * static_cast<rlim_t>(::sysconf(_SC_PAGESIZE)) : 0;
}

void limit(int which, rlim_t value) {
    struct rlimit now {};
    if (::getrlimit(static_cast<__rlimit_resource_t>(which), &now) == 0) {
        now.rlim_cur = std::min(value, now.rlim_max);
        ::setrlimit(static_cast<__rlimit_resource_t>(which), &now);
    }
}

void send(int fd, const std::string& reply) {
    std::size_t sent = 0;
    while (sent < reply.size()) {
        const ssize_t n = ::write(fd, reply.data() + sent, reply.size() - sent);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return;
        }
        sent += static_cast<std::size_t>(n);
    }
}

[[noreturn]] void runChild(int fd, rlim_t memory, rlim_t seconds,
                           const std::function<void()>& body) {
    for (const int signal : {SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL, SIGXCPU, SIGTERM}) {
        ::signal(signal, SIG_DFL);
    }
    // Ctrl-C goes to the whole group: the parent cancels, and must not take the child's end for
    // damage.
    ::signal(SIGINT, SIG_IGN);
    limit(RLIMIT_CORE, 0);
    limit(RLIMIT_CPU, seconds);
    if (memory > 0) {
        limit(RLIMIT_AS, memory);
    }
    try {
        body();
        send(fd, std::string(1, good));
    } catch (const InputError& e) {
        std::string reply(1, refused);
        for (const std::string& part :
             {e.problem(), e.file().string(), e.innerPath(), e.advice()}) {
            reply += part;
            reply += '\0';
        }
        send(fd, reply.substr(0, longestReply));
    } catch (...) { // out of memory, for one: no reply says that the file is damaged
    }
    ::_exit(0);
}

enum class Heard { all, late, cancelled };

/// Everything the child says until it closes the pipe.
Heard listen(int fd, const Job* job, std::string& reply) {
    using Clock = std::chrono::steady_clock;
    const auto deadline = Clock::now() + std::chrono::seconds(longestSeconds);
    char buffer[4096];
    for (;;) {
        const auto left =
            std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()).count();
        if (left <= 0) {
            return Heard::late;
        }
        if (job && job->token().cancelled()) {
            return Heard::cancelled;
        }
        pollfd wait{fd, POLLIN, 0};
        const auto patience = job ? std::min<decltype(left)>(left, lookMilliseconds) : left;
        const int ready = ::poll(&wait, 1, static_cast<int>(patience));
        if (ready < 0 && errno != EINTR) {
            return Heard::late;
        }
        if (ready <= 0) {
            continue;
        }
        const ssize_t n = ::read(fd, buffer, sizeof buffer);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return Heard::all;
        }
        reply.append(buffer, static_cast<std::size_t>(n));
    }
}

} // namespace

void probe(const std::filesystem::path& file, const std::function<void()>& body, const Job* job) {
    if (job) {
        job->checkCancelled();
    }
    // Nobody else is inside HDF5 while the process is copied.
    const h5::Lock lock;
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) {
        return;
    }
    std::error_code ignored;
    const auto size = std::filesystem::file_size(file, ignored);
    const rlim_t now = addressSpace();
    const rlim_t bytes = ignored ? 0 : static_cast<rlim_t>(size);
    const rlim_t memory = now == 0 ? 0 : now + extraBytes + 4 * bytes;
    const rlim_t seconds = cpuSeconds + bytes / bytesPerCpuSecond;
    const pid_t pid = ::fork();
    if (pid < 0) { // no room for a child: then without
        ::close(ends[0]);
        ::close(ends[1]);
        return;
    }
    if (pid == 0) {
        ::close(ends[0]);
        h5::Lock::renewInChild();
        runChild(ends[1], memory, seconds, body);
    }
    ::close(ends[1]);
    std::string reply;
    const Heard heard = listen(ends[0], job, reply);
    ::close(ends[0]);
    if (heard != Heard::all) {
        ::kill(pid, SIGKILL);
    }
    while (::waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
    }
    if (heard == Heard::cancelled) {
        throw Cancelled();
    }
    if (!reply.empty() && reply[0] == good) {
        return;
    }
    if (!reply.empty() && reply[0] == refused) {
        std::string parts[4];
        std::size_t at = 1;
        for (std::string& part : parts) {
            const std::size_t end = std::min(reply.find('\0', at), reply.size());
            part = reply.substr(at, end - at);
            at = std::min(end + 1, reply.size());
        }
        throw InputError(parts[0], parts[1], parts[2], parts[3]);
    }
    throw InputError(heard == Heard::all
                         ? "is damaged: its structure can't be read"
                         : "is damaged, or the disk too slow: its structure can't be read",
                     file, {}, "copy the file again, or write the dump again");
}

} // namespace qkov::dump
