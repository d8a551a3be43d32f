// SPDX-License-Identifier: GPL-3.0-or-later
// A library of its own, loaded by SentencePieceLibrary.cpp.
#include "text/AddedTokens.h"

#include <sentencepiece_processor.h>

#include <algorithm>

namespace qkov::text {

namespace {

class SentencePieceTokenizer : public Tokenizer::Implementation {
  public:
    SentencePieceTokenizer(const std::filesystem::path& model, const nlohmann::json& config) {
        const auto status = m_processor.Load(model.string());
        if (!status.ok())
            throw InputError("is not a SentencePiece model: " + status.ToString(), model);
        m_size = m_processor.GetPieceSize();
        readAddedTokens(config, model.parent_path());
        const auto option = [&](const char* key, bool otherwise) {
            return config.is_object() && config.contains(key) && config[key].is_boolean()
                       ? config[key].get<bool>()
                       : otherwise;
        };
        // The defaults of the LLaMA and Gemma tokenizers.
        if (option("add_bos_token", true))
            addSpecial(m_before, tokenContent(config, "bos_token"), m_processor.bos_id());
        if (option("add_eos_token", false))
            addSpecial(m_behind, tokenContent(config, "eos_token"), m_processor.eos_id());
    }

    std::vector<std::int32_t> encode(std::string_view text) const override {
        std::vector<std::int32_t> out = m_before;
        for (const AddedTokens::Piece& piece : m_added.split(text, m_nothing)) {
            if (piece.id >= 0) {
                out.push_back(piece.id);
                continue;
            }
            std::vector<int> ids;
            const auto status = m_processor.Encode(piece.text, &ids);
            if (!status.ok())
                throw Error("the text can't be tokenised: " + status.ToString());
            out.insert(out.end(), ids.begin(), ids.end());
        }
        out.insert(out.end(), m_behind.begin(), m_behind.end());
        return out;
    }

    std::string kind() const override { return "SentencePiece"; }
    std::int64_t vocabularySize() const override {
        return std::max<std::int64_t>(m_size, m_added.largestId() + 1);
    }

  private:
    void readAddedTokens(const nlohmann::json& config, const std::filesystem::path& directory) {
        if (config.is_object() && config.contains("added_tokens_decoder") &&
            config["added_tokens_decoder"].is_object()) {
            for (const auto& [key, value] : config["added_tokens_decoder"].items()) {
                const JsonPart part{value, directory / "tokenizer_config.json",
                                    "added_tokens_decoder['" + key + "']"};
                const nlohmann::json id = nlohmann::json::parse(key, nullptr, false);
                m_added.add(AddedTokens::read(part, JsonPart{id, part.file, part.path}.id()));
            }
        }
        if (const auto file = directory / "added_tokens.json"; std::filesystem::exists(file)) {
            const nlohmann::json tokens = readJsonFile(file);
            if (!tokens.is_object())
                throw InputError("is not an object of tokens and ids", file);
            for (const auto& [content, id] : tokens.items()) {
                AddedTokens::Token token;
                token.content = content;
                token.id = JsonPart{id, file, content}.id();
                m_added.add(token);
            }
        }
        m_added.prepare(m_nothing);
    }

    void addSpecial(std::vector<std::int32_t>& to, const std::optional<std::string>& content,
                    int otherwise) const {
        std::int32_t id = otherwise;
        if (content) {
            if (const auto added = m_added.find(*content))
                id = *added;
            else if (const int piece = m_processor.PieceToId(*content);
                     piece != m_processor.unk_id())
                id = piece;
        }
        if (id >= 0) // a model may have none
            to.push_back(id);
    }

    sentencepiece::SentencePieceProcessor m_processor;
    Normalizer m_nothing{JsonPart{nlohmann::json(), {}, {}}};
    AddedTokens m_added;
    std::int64_t m_size = 0;
    std::vector<std::int32_t> m_before, m_behind;
};

} // namespace

} // namespace qkov::text

extern "C" __attribute__((visibility("default"))) void
qkov_sentencepiece_make(const std::filesystem::path& model, const nlohmann::json& config,
                        std::shared_ptr<const qkov::text::Tokenizer::Implementation>& result) {
    result = std::make_shared<qkov::text::SentencePieceTokenizer>(model, config);
}
