// SPDX-License-Identifier: GPL-3.0-or-later
// SentencePiece lives in libqkov_sentencepiece, loaded with its symbols kept to itself. Linked, it
// would take Torch down with it: Debian's libsentencepiece exports a protobuf of its own, to which
// the libprotobuf that Torch loads would then be bound.
#include "text/TokenizerImplementation.h"

#include <dlfcn.h>

namespace qkov::text {
namespace {

using Make = void (*)(const std::filesystem::path&, const nlohmann::json&,
                      std::shared_ptr<const Tokenizer::Implementation>&);

/// The folder that this very library was loaded from.
std::filesystem::path ownFolder() {
    Dl_info info{};
    if (::dladdr(reinterpret_cast<const void*>(&ownFolder), &info) != 0 && info.dli_fname) {
        std::error_code ignored;
        return std::filesystem::absolute(info.dli_fname, ignored).parent_path();
    }
    return {};
}

Make load() {
    constexpr const char* name = "libqkov_sentencepiece.so";
    void* library = ::dlopen((ownFolder() / name).c_str(), RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        library = ::dlopen(name, RTLD_NOW | RTLD_LOCAL);
    }
    void* make = library ? ::dlsym(library, "qkov_sentencepiece_make") : nullptr;
    if (!make) {
        const char* why = ::dlerror();
        throw Error(std::string("SentencePiece tokenizers can't be used: ") + (why ? why : name));
    }
    return reinterpret_cast<Make>(make);
}

} // namespace

std::shared_ptr<const Tokenizer::Implementation>
makeSentencePieceTokenizer(const std::filesystem::path& model, const nlohmann::json& config) {
    static const Make make = load();
    std::shared_ptr<const Tokenizer::Implementation> result;
    make(model, config, result);
    return result;
}

} // namespace qkov::text
