// SPDX-License-Identifier: GPL-3.0-or-later
#include "dump/DumpReader.h"
#include "dump/Hdf5.h"
#include "dump/Probe.h"

namespace qkov::dump {
namespace fs = std::filesystem;
namespace {

constexpr const char* accepted =
    "choose a model's folder (config.json and safetensors), a dump or a results file";

bool holdsModel(const fs::path& directory) {
    std::error_code error;
    if (fs::exists(directory / "config.json", error)) {
        return true;
    }
    for (fs::directory_iterator it(directory, error), end; !error && it != end;
         it.increment(error)) {
        if (it->path().extension() == ".safetensors") {
            return true;
        }
    }
    return false;
}

} // namespace

FileKind detectFileKind(const fs::path& path) {
    std::error_code error;
    if (!fs::exists(path, error)) {
        throw InputError("does not exist", path, {}, accepted);
    }
    if (fs::is_directory(path, error)) {
        if (holdsModel(path)) {
            return FileKind::modelDirectory;
        }
        throw InputError("is a folder without a model", path, {}, accepted);
    }
    if (path.filename() == "config.json" || path.extension() == ".safetensors" ||
        path.filename() == "model.safetensors.index.json") {
        return FileKind::modelDirectory;
    }
    if (!fs::is_regular_file(path, error) || !h5::isHdf5(path)) {
        const auto extension = path.extension();
        const bool pickled = extension == ".pt" || extension == ".pth" || extension == ".bin";
        throw InputError(pickled ? "is a pickled file, which is never read"
                                 : "is not a file this program reads",
                         path, {}, pickled ? "convert it with the Python exporter" : accepted);
    }
    std::string format;
    const auto read = [&] {
        const h5::Object root = h5::openFile(path);
        format = root.stringAttribute("format").value_or("");
    };
    probe(path, read);
    read();
    if (format == "qkov-dump") {
        return FileKind::dump;
    }
    if (format == "qkov-results") {
        return FileKind::results;
    }
    throw InputError("is an HDF5 file, but neither a dump nor a results file", path, {}, accepted);
}

} // namespace qkov::dump
