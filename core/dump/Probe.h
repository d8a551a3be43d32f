// SPDX-License-Identifier: GPL-3.0-or-later
// HDF5 crashes, or asks for absurd memory, on some damaged files (heaps of variable-length text
// above all). A stranger's file must not take the program with it. Private to core.
#pragma once

#include "base/Job.h"

#include <filesystem>
#include <functional>

namespace qkov::dump {

/// Runs `body`, which reads the structure of `file`, in a child process with bounded memory and
/// time. Returns if it went well (the caller then does the same for itself).
/// body must not start threads; what it changes is lost.
/// @param job a cancellation ends the child; body itself would not see it
/// @throws InputError: the one that body threw, or "is damaged" if the child died; Cancelled
void probe(const std::filesystem::path& file, const std::function<void()>& body,
           const Job* job = nullptr);

} // namespace qkov::dump
