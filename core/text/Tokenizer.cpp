// SPDX-License-Identifier: GPL-3.0-or-later
#include "text/Tokenizer.h"

#include "text/TokenizerImplementation.h"
#include "text/Utf8.h"

namespace qkov::text {

namespace {
namespace fs = std::filesystem;

bool present(const fs::path& file) {
    std::error_code error;
    return fs::is_regular_file(file, error);
}
} // namespace

Tokenizer::Tokenizer(std::shared_ptr<const Implementation> implementation)
    : m_implementation(std::move(implementation)) {}

bool Tokenizer::hasFiles(const fs::path& directory) {
    return present(directory / "tokenizer.json") || present(directory / "tokenizer.model") ||
           (present(directory / "vocab.json") && present(directory / "merges.txt"));
}

Tokenizer Tokenizer::fromModelDirectory(const fs::path& directory) {
    const fs::path json = directory / "tokenizer.json", model = directory / "tokenizer.model";
    const fs::path configFile = directory / "tokenizer_config.json";
    const nlohmann::json config = present(configFile) ? readJsonFile(configFile) : nlohmann::json();
    if (present(json)) {
        const nlohmann::json spec = readJsonFile(json);
        try {
            return Tokenizer(makeJsonTokenizer(spec, config, json));
        } catch (const UnknownKind&) {
            if (!present(model))
                throw;
        }
    }
    if (present(model))
        return Tokenizer(makeSentencePieceTokenizer(model, config));
    if (present(directory / "vocab.json") && present(directory / "merges.txt"))
        return Tokenizer(makeJsonTokenizer(specFromVocabAndMerges(directory, config), config,
                                           directory / "vocab.json"));
    throw InputError("has no tokenizer.json, tokenizer.model, or vocab.json with merges.txt",
                     directory, {}, "give input_ids with the samples");
}

std::vector<std::int32_t> Tokenizer::encode(std::string_view text) const {
    if (const std::size_t at = invalidUtf8(text); at != std::string_view::npos)
        throw InputError("the text is not valid UTF-8 at byte " + std::to_string(at));
    return m_implementation->encode(text);
}

std::string Tokenizer::kind() const {
    return m_implementation->kind();
}

std::int64_t Tokenizer::vocabularySize() const {
    return m_implementation->vocabularySize();
}

} // namespace qkov::text
