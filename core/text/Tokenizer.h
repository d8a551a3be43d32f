// SPDX-License-Identifier: GPL-3.0-or-later
// Text to token ids with the model directory's own tokenizer, as the model's users get them.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace qkov::text {

/// Immutable and cheap to copy; encode() may be called from several threads at once.
class Tokenizer {
  public:
    class Implementation;

    /// Reads, in this order:
    /// - `tokenizer.json` whose model is BPE (byte-level as in GPT-2, Pythia, LLaMA-3, Qwen,
    /// Falcon; or
    ///   SentencePiece-like with byte fallback as in LLaMA-2),
    /// - `tokenizer.model` of SentencePiece (also where tokenizer.json is of a kind not known
    /// here),
    /// - `vocab.json` with `merges.txt` of older GPT-2-like models.
    /// `tokenizer_config.json` beside them says which special tokens are added.
    /// @throws InputError no tokenizer, one of another kind (asks for input_ids), or broken files
    static Tokenizer fromModelDirectory(const std::filesystem::path& directory);

    /// Whether the directory holds a file that fromModelDirectory() would read.
    static bool hasFiles(const std::filesystem::path& directory);

    /// Token ids with the special tokens (BOS ...) that the tokenizer adds to a single text.
    /// Special tokens written out in the text become their ids, as in the `tokenizers` library.
    /// @param text UTF-8; may be empty
    /// @throws InputError text is not valid UTF-8 (names the byte)
    std::vector<std::int32_t> encode(std::string_view text) const;

    /// "byte-level BPE", "BPE" or "SentencePiece".
    std::string kind() const;
    /// One more than the largest id.
    std::int64_t vocabularySize() const;

  private:
    explicit Tokenizer(std::shared_ptr<const Implementation> implementation);
    std::shared_ptr<const Implementation> m_implementation;
};

} // namespace qkov::text
