// SPDX-License-Identifier: GPL-3.0-or-later
// The pipeline that tokenizer.json describes: added tokens, normaliser, pre-tokeniser, BPE, special
// tokens.
#include "text/AddedTokens.h"
#include "text/Bpe.h"
#include "text/PostProcessor.h"
#include "text/PreTokenizer.h"

#include <algorithm>

namespace qkov::text {

namespace {

const nlohmann::json& partOrNull(const nlohmann::json& spec, const char* key) {
    static const nlohmann::json null;
    return spec.is_object() && spec.contains(key) ? spec[key] : null;
}

/// A pre-tokeniser of its own, and what tokenizer_config.json says about the space before the text.
nlohmann::json preTokenizerSpec(const nlohmann::json& spec, const nlohmann::json& config) {
    nlohmann::json part = partOrNull(spec, "pre_tokenizer");
    const nlohmann::json& prefix = partOrNull(config, "add_prefix_space");
    if (part.is_object() && part.value("type", "") == "ByteLevel" && prefix.is_boolean())
        part["add_prefix_space"] = prefix;
    return part;
}

class JsonTokenizer : public Tokenizer::Implementation {
  public:
    JsonTokenizer(const nlohmann::json& spec, const nlohmann::json& config,
                  const std::filesystem::path& file)
        : m_bpe(JsonPart{spec, file, ""}.at("model"))
        , m_normalizer(JsonPart{partOrNull(spec, "normalizer"), file, "normalizer"})
        , m_preTokenizer(JsonPart{preTokenizerSpec(spec, config), file, "pre_tokenizer"}) {
        addTokens({partOrNull(spec, "added_tokens"), file, "added_tokens"});
        addTokensOfConfig(config, file.parent_path() / "tokenizer_config.json");
        m_added.prepare(m_normalizer);
        m_post = postProcessor(spec, config, file);
    }

    std::vector<std::int32_t> encode(std::string_view text) const override {
        std::vector<std::int32_t> ids;
        for (AddedTokens::Piece& piece : m_added.split(text, m_normalizer)) {
            if (piece.id >= 0) {
                ids.push_back(piece.id);
                continue;
            }
            for (const std::string& word :
                 m_preTokenizer.apply(std::move(piece.text), piece.atStart))
                m_bpe.encode(word, ids);
        }
        return m_post.apply(ids);
    }

    std::string kind() const override {
        return m_preTokenizer.byteLevel() ? "byte-level BPE" : "BPE";
    }
    std::int64_t vocabularySize() const override {
        return std::int64_t(std::max(m_bpe.largestId(), m_added.largestId())) + 1;
    }

  private:
    void addTokens(const JsonPart& tokens) {
        if (tokens.isNull())
            return;
        for (std::size_t i = 0; i < tokens.arraySize(); ++i) {
            const JsonPart token = tokens.at(i);
            add(AddedTokens::read(token, token.at("id").id()));
        }
    }

    void addTokensOfConfig(const nlohmann::json& config, const std::filesystem::path& file) {
        const nlohmann::json& tokens = partOrNull(config, "added_tokens_decoder");
        if (!tokens.is_object())
            return;
        std::map<std::int32_t, AddedTokens::Token> ordered;
        for (const auto& [key, token] : tokens.items()) {
            const JsonPart part{token, file, "added_tokens_decoder['" + key + "']"};
            const bool number =
                !key.empty() && key.size() < 10 &&
                std::all_of(key.begin(), key.end(), [](char c) { return c >= '0' && c <= '9'; });
            if (!number)
                part.fail("is not under a token id");
            const std::int32_t id = std::stoi(key);
            ordered.emplace(id, AddedTokens::read(part, id));
        }
        for (const auto& [id, token] : ordered)
            add(token);
    }

    void add(AddedTokens::Token token) {
        if (const auto id = m_bpe.find(token.content))
            token.id = *id; // the vocabulary's word counts
        m_added.add(token);
    }

    PostProcessor postProcessor(const nlohmann::json& spec, const nlohmann::json& config,
                                const std::filesystem::path& file) const {
        // The classes of LLaMA and Gemma make their post-processor from add_bos_token and
        // add_eos_token.
        const nlohmann::json& name = partOrNull(config, "tokenizer_class");
        const std::string type = name.is_string() ? name.get<std::string>() : "";
        const bool own = type.rfind("LlamaTokenizer", 0) == 0 ||
                         type.rfind("GemmaTokenizer", 0) == 0 ||
                         type.rfind("CodeLlamaTokenizer", 0) == 0;
        const PostProcessor ofFile(
            JsonPart{partOrNull(spec, "post_processor"), file, "post_processor"});
        if (!own)
            return ofFile;
        const bool gemma = type.rfind("Gemma", 0) == 0;
        bool found = true;
        const auto wanted = [&](const char* option, bool otherwise, const char* key,
                                const char* usual) {
            const nlohmann::json& value = partOrNull(config, option);
            if (!(value.is_boolean() ? value.get<bool>() : otherwise))
                return std::vector<std::int32_t>();
            const std::string content = tokenContent(config, key).value_or(usual);
            const auto id = m_added.find(content) ? m_added.find(content) : m_bpe.find(content);
            if (id)
                return std::vector<std::int32_t>{*id};
            if (value.is_boolean())
                throw InputError(std::string("sets ") + option + " but names no " + key +
                                     " of the vocabulary",
                                 file.parent_path() / "tokenizer_config.json", key);
            found = false;
            return std::vector<std::int32_t>();
        };
        const PostProcessor ofClass(
            wanted("add_bos_token", true, "bos_token", gemma ? "<bos>" : "<s>"),
            wanted("add_eos_token", false, "eos_token", gemma ? "<eos>" : "</s>"));
        return found ? ofClass : ofFile;
    }

    Bpe m_bpe;
    Normalizer m_normalizer;
    PreTokenizer m_preTokenizer;
    AddedTokens m_added;
    PostProcessor m_post;
};

} // namespace

std::shared_ptr<const Tokenizer::Implementation>
makeJsonTokenizer(const nlohmann::json& spec, const nlohmann::json& config,
                  const std::filesystem::path& file) {
    return std::make_shared<JsonTokenizer>(spec, config, file);
}

} // namespace qkov::text
