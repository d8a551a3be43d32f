// SPDX-License-Identifier: GPL-3.0-or-later
// The kinds of tokenizers behind text::Tokenizer, and the files they come from.
#pragma once

#include "base/Error.h"
#include "text/Tokenizer.h"

#include <nlohmann/json.hpp>

#include <optional>

namespace qkov::text {

class Tokenizer::Implementation {
  public:
    virtual ~Implementation() = default;
    /// @param text valid UTF-8
    virtual std::vector<std::int32_t> encode(std::string_view text) const = 0;
    virtual std::string kind() const = 0;
    virtual std::int64_t vocabularySize() const = 0;
};

/// A tokenizer of a kind that is not known here. Told apart from broken files, because another file
/// in the directory may serve.
class UnknownKind : public InputError {
  public:
    UnknownKind(const std::string& what, const std::filesystem::path& file,
                const std::string& innerPath)
        : InputError(what, file, innerPath, "give input_ids with the samples") {}
};

/// @param spec the content of tokenizer.json, or the same made from older files
/// @param config the content of tokenizer_config.json, or null
/// @param file named in errors
/// @throws UnknownKind, InputError
std::shared_ptr<const Tokenizer::Implementation>
makeJsonTokenizer(const nlohmann::json& spec, const nlohmann::json& config,
                  const std::filesystem::path& file);

/// @param model tokenizer.model; added tokens and BOS/EOS come from `config`
std::shared_ptr<const Tokenizer::Implementation>
makeSentencePieceTokenizer(const std::filesystem::path& model, const nlohmann::json& config);

/// The text of a special token in tokenizer_config.json: a string, or an object with `content`.
std::optional<std::string> tokenContent(const nlohmann::json& config, const char* key);

/// Reads a JSON file that a stranger may have written. @throws InputError
nlohmann::json readJsonFile(const std::filesystem::path& file);

/// tokenizer.json's content, made from vocab.json and merges.txt.
nlohmann::json specFromVocabAndMerges(const std::filesystem::path& directory,
                                      const nlohmann::json& config);

} // namespace qkov::text
