// SPDX-License-Identifier: GPL-3.0-or-later
#include "text/TokenizerImplementation.h"

#include "base/RawFile.h"
#include "text/Utf8.h"

#include <set>
#include <sstream>

namespace qkov::text {

namespace {

const nlohmann::json* objectMember(const nlohmann::json& object, const char* key) {
    return object.is_object() && object.contains(key) ? &object[key] : nullptr;
}

/// The tokens that older models' files declare special: they are found in the text as written.
std::set<std::string> specialTokens(const std::filesystem::path& directory,
                                    const nlohmann::json& config) {
    std::set<std::string> tokens;
    const auto collect = [&](const nlohmann::json& source) {
        for (const char* key : {"bos_token", "eos_token", "unk_token", "pad_token"}) {
            if (const auto content = tokenContent(source, key))
                tokens.insert(*content);
        }
        if (const nlohmann::json* more = objectMember(source, "additional_special_tokens");
            more && more->is_array()) {
            for (const nlohmann::json& token : *more) {
                if (token.is_string())
                    tokens.insert(token.get<std::string>());
                else if (const auto* content = objectMember(token, "content");
                         content && content->is_string())
                    tokens.insert(content->get<std::string>());
            }
        }
    };
    collect(config);
    const auto map = directory / "special_tokens_map.json";
    if (std::filesystem::exists(map))
        collect(readJsonFile(map));
    if (tokens.empty())
        tokens.insert("<|endoftext|>"); // GPT-2's own
    return tokens;
}

} // namespace

std::optional<std::string> tokenContent(const nlohmann::json& config, const char* key) {
    const nlohmann::json* token = objectMember(config, key);
    if (token && token->is_object())
        token = objectMember(*token, "content");
    return token && token->is_string() ? std::optional(token->get<std::string>()) : std::nullopt;
}

nlohmann::json readJsonFile(const std::filesystem::path& file) {
    try {
        return nlohmann::json::parse(readText(file, largestText));
    } catch (const nlohmann::json::exception&) {
        throw InputError("is not valid JSON", file);
    }
}

nlohmann::json specFromVocabAndMerges(const std::filesystem::path& directory,
                                      const nlohmann::json& config) {
    const std::filesystem::path vocabFile = directory / "vocab.json",
                                mergesFile = directory / "merges.txt";
    nlohmann::json vocabulary = readJsonFile(vocabFile);
    if (!vocabulary.is_object())
        throw InputError("is not an object of tokens and ids", vocabFile);
    nlohmann::json merges = nlohmann::json::array();
    const std::string mergesText = readText(mergesFile, largestText);
    if (invalidUtf8(mergesText) != std::string::npos)
        throw InputError("is not valid UTF-8", mergesFile);
    std::istringstream lines(mergesText);
    for (std::string line; std::getline(lines, line);) {
        if (!line.empty() && line.back() == '\r')
            line.pop_back();
        if (!line.empty() && line.rfind("#version", 0) != 0)
            merges.push_back(line);
        if (line.size() > 4 && line.compare(line.size() - 4, 4, "</w>") == 0)
            throw UnknownKind(
                "merges that mark the ends of words are of a tokenizer not known here", mergesFile,
                line);
    }
    const std::string type = tokenContent(config, "tokenizer_class").value_or("");
    const bool qwen = type.rfind("Qwen2Tokenizer", 0) == 0;

    nlohmann::json added = nlohmann::json::array();
    std::set<std::string> known;
    const auto add = [&](const std::string& content, const nlohmann::json& id) {
        if (known.insert(content).second)
            added.push_back(
                {{"id", id}, {"content", content}, {"special", true}, {"normalized", false}});
    };
    for (const std::string& token : specialTokens(directory, config)) {
        if (vocabulary.contains(token))
            add(token, vocabulary[token]);
    }
    if (const auto file = directory / "added_tokens.json"; std::filesystem::exists(file)) {
        const nlohmann::json tokens = readJsonFile(file);
        for (const auto& [token, id] : tokens.items())
            add(token, id);
    }

    nlohmann::json level = {
        {"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", !qwen}};
    nlohmann::json spec = {
        {"added_tokens", added}, {"normalizer", nullptr}, {"pre_tokenizer", level}};
    spec["post_processor"] = level;
    spec["model"] = {
        {"type", "BPE"}, {"vocab", std::move(vocabulary)}, {"merges", std::move(merges)}};
    if (qwen) {
        const char* words = "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| "
                            "?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
        const nlohmann::json split = {{"type", "Split"},
                                      {"pattern", {{"Regex", words}}},
                                      {"behavior", "Isolated"},
                                      {"invert", false}};
        spec["normalizer"] = {{"type", "NFC"}};
        spec["pre_tokenizer"] = {{"type", "Sequence"}, {"pretokenizers", {split, level}}};
    }
    // OPT puts its BOS first; GPT-2 itself adds nothing.
    const nlohmann::json* addBos = objectMember(config, "add_bos_token");
    const auto bos = tokenContent(config, "bos_token");
    if (addBos && addBos->is_boolean() && addBos->get<bool>() && bos &&
        spec["model"]["vocab"].contains(*bos)) {
        const nlohmann::json single = {{{"SpecialToken", {{"id", *bos}, {"type_id", 0}}}},
                                       {{"Sequence", {{"id", "A"}, {"type_id", 0}}}}};
        spec["post_processor"] = {{"type", "TemplateProcessing"}, {"single", single}};
        spec["post_processor"]["special_tokens"][*bos] = {{"ids", {spec["model"]["vocab"][*bos]}}};
    }
    return spec;
}

} // namespace qkov::text
