// SPDX-License-Identifier: GPL-3.0-or-later
// qkov: the analysis without a display. Reads the command line, runs one command, turns every
// failure into one line and an exit code.
#include "Session.h"

#include "base/Error.h"

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <new>
#include <unistd.h>

namespace {

using qkov::cli::Session;

enum ExitCode { done = 0, failed = 1, wrongUsage = 2, unusableInput = 3, cancelled = 130 };

const qkov::CancelToken* signalToken = nullptr;
volatile std::sig_atomic_t signals = 0;

extern "C" void onSignal(int) {
    signals = signals + 1;
    if (signals > 1) {
        ::_exit(cancelled); // the user insists
    }
    signalToken->cancel();
}

void catchSignals(const Session& session) {
    signalToken = &session.token();
    struct sigaction action {};
    action.sa_handler = onSignal;
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, nullptr);
    sigaction(SIGTERM, &action, nullptr);
    // A file-size limit and a closed pipe are write errors, told in one line.
    std::signal(SIGXFSZ, SIG_IGN);
    std::signal(SIGPIPE, SIG_IGN);
}

std::string oneLine(std::string text) {
    for (char& c : text) {
        if (static_cast<unsigned char>(c) < 0x20) {
            c = ' ';
        }
    }
    return text;
}

int fail(const Session& session, int code, const std::string& line) {
    session.clearProgress();
    std::fputs(("qkov: " + oneLine(line) + "\n").c_str(), stderr);
    return code;
}

int run(int argc, char** argv, Session& session) {
    CLI::App app("Which attention circuits do two tasks fight over, and which examples do it?",
                 "qkov");
    app.set_help_flag("-h,--help", "Show this text");
    app.set_version_flag("--version", "qkov " QKOV_VERSION, "Show the version");
    app.require_subcommand(1);
    app.footer("qkov COMMAND --help tells more about a command.\n"
               "Exit codes: 0 done, 1 failed, 2 wrong usage, 3 unusable input, 130 cancelled.");
    qkov::cli::addInfo(app, session);
    qkov::cli::addCollect(app, session);
    qkov::cli::addCompute(app, session);
    qkov::cli::addPair(app, session);
    qkov::cli::addExport(app, session);
    qkov::cli::addFigure(app, session);
    qkov::cli::addRun(app, session);
    qkov::cli::addCompare(app, session);
    qkov::cli::addCheck(app, session);
    qkov::cli::addValidate(app, session);
    qkov::cli::addImport(app, session);

    try {
        try {
            const std::string first = argc > 1 ? argv[1] : "";
            if (first.empty()) {
                throw qkov::UsageError("no command is named; see qkov --help");
            }
            if (first[0] != '-' &&
                app.get_subcommands([&](const CLI::App* a) { return a->get_name() == first; })
                    .empty()) {
                throw qkov::UsageError("no command is called '" + first + "'; see qkov --help");
            }
            app.parse(argc, argv);
        } catch (const CLI::Success& e) { // --help, --version
            app.exit(e);
            return std::fflush(stdout) == 0 ? done : unusableInput;
        } catch (const CLI::ParseError& e) {
            const auto named = app.get_subcommands();
            const std::string name = named.empty() ? "qkov" : "qkov " + named.front()->get_name();
            return fail(session, wrongUsage, std::string(e.what()) + "; see " + name + " --help");
        }
        session.action();
        if (std::fflush(stdout) != 0 || std::ferror(stdout)) {
            return fail(session, unusableInput, "standard output can't be written");
        }
        session.clearProgress();
        return done;
    } catch (const qkov::Cancelled&) {
        return fail(session, cancelled, "cancelled");
    } catch (const qkov::UsageError& e) {
        return fail(session, wrongUsage, e.what());
    } catch (const qkov::InputError& e) {
        return fail(session, unusableInput, e.what());
    } catch (const std::bad_alloc&) {
        return fail(session, failed, "out of memory; try a smaller --memory-budget");
    } catch (const std::exception& e) {
        return fail(session, failed, e.what());
    }
}

} // namespace

int main(int argc, char** argv) {
    Session session;
    catchSignals(session);
    const int code = run(argc, argv, session);
    std::fflush(stdout);
    std::fflush(stderr);
    // Nothing is left to do, and libraries that a full disk has upset complain while they are
    // unloaded.
    std::_Exit(code);
}
