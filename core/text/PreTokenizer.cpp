// SPDX-License-Identifier: GPL-3.0-or-later
#include "text/PreTokenizer.h"

#include "text/Utf8.h"

#include <algorithm>

namespace qkov::text {

namespace {

/// A stretch of text, found by the pattern or lying between two finds.
struct Piece {
    std::size_t start = 0;
    std::size_t end = 0;
    bool match = false;
};

/// What becomes of what a pattern finds.
enum class Behavior { removed, isolated, mergedWithPrevious, mergedWithNext, contiguous };

Behavior behaviorOf(const JsonPart& part) {
    const std::string name = part.string();
    if (name == "Removed")
        return Behavior::removed;
    if (name == "Isolated")
        return Behavior::isolated;
    if (name == "MergedWithPrevious")
        return Behavior::mergedWithPrevious;
    if (name == "MergedWithNext")
        return Behavior::mergedWithNext;
    if (name == "Contiguous")
        return Behavior::contiguous;
    part.unknown("the split behavior '" + name + "' is not known here");
}

std::vector<Piece> cover(const std::vector<Match>& matches, std::size_t size) {
    std::vector<Piece> out;
    std::size_t at = 0;
    for (const Match& m : matches) {
        if (m.start > at)
            out.push_back({at, m.start, false});
        out.push_back({m.start, m.end, true});
        at = m.end;
    }
    if (at < size)
        out.push_back({at, size, false});
    return out;
}

std::vector<Match> findCharacters(std::string_view text, bool (*wanted)(char32_t)) {
    std::vector<Match> out;
    for (std::size_t at = 0; at < text.size();) {
        const std::size_t start = at;
        if (wanted(nextCharacter(text, at)))
            out.push_back({start, at});
    }
    return out;
}

std::vector<Piece> merged(const std::vector<Piece>& pieces, Behavior behavior) {
    std::vector<Piece> out;
    bool previous = false;
    if (behavior == Behavior::mergedWithNext) {
        for (auto it = pieces.rbegin(); it != pieces.rend(); ++it) {
            if (it->match && !previous && !out.empty())
                out.back().start = it->start;
            else
                out.push_back(*it);
            previous = it->match;
        }
        std::reverse(out.begin(), out.end());
        return out;
    }
    for (const Piece& piece : pieces) {
        const bool join =
            behavior == Behavior::contiguous ? piece.match == previous : piece.match && !previous;
        if (join && !out.empty())
            out.back().end = piece.end;
        else
            out.push_back(piece);
        previous = piece.match;
    }
    return out;
}

void splitInto(PreTokenizer::Words& out, const std::string& text, std::vector<Piece> pieces,
               Behavior behavior, bool invert = false) {
    if (invert) {
        for (Piece& piece : pieces)
            piece.match = !piece.match;
    }
    if (behavior != Behavior::removed && behavior != Behavior::isolated)
        pieces = merged(pieces, behavior);
    for (const Piece& piece : pieces) {
        if (piece.end > piece.start && !(behavior == Behavior::removed && piece.match))
            out.push_back(text.substr(piece.start, piece.end - piece.start));
    }
}

/// A step that looks at each word by itself.
template <typename SplitOne>
auto eachWord(SplitOne splitOne) {
    return [splitOne](PreTokenizer::Words words, bool) {
        PreTokenizer::Words out;
        for (const std::string& word : words)
            splitOne(out, word);
        return out;
    };
}

std::string asSymbols(const std::string& text) {
    std::string out;
    for (const char c : text)
        out += byteSymbols()[static_cast<unsigned char>(c)];
    return out;
}

std::vector<Match> wordsAndOthers(std::string_view text) {
    std::vector<Match> out; // \w+|[^\w\s]+
    const auto classOf = [](char32_t c) { return isWord(c) ? 1 : isWhitespace(c) ? 0 : 2; };
    int open = 0;
    for (std::size_t at = 0; at < text.size();) {
        const std::size_t start = at;
        const int kind = classOf(nextCharacter(text, at));
        if (kind != 0 && kind == open)
            out.back().end = at;
        else if (kind != 0)
            out.push_back({start, at});
        open = kind;
    }
    return out;
}

} // namespace

PreTokenizer::PreTokenizer(const JsonPart& part) {
    if (!part.isNull())
        add(part);
}

void PreTokenizer::add(const JsonPart& part) {
    const std::string type = part.type();
    if (type == "Sequence") {
        const JsonPart steps = part.at("pretokenizers");
        for (std::size_t i = 0; i < steps.arraySize(); ++i)
            add(steps.at(i));
    } else if (type == "ByteLevel") {
        m_byteLevel = true;
        const bool prefix = part.booleanOr("add_prefix_space", true),
                   useRegex = part.booleanOr("use_regex", true);
        static const Regex words(
            "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+");
        m_steps.push_back(eachWord([prefix, useRegex](Words& out, const std::string& word) {
            const std::string text = prefix && word.front() != ' ' ? " " + word : word;
            const std::size_t first = out.size();
            if (useRegex)
                splitInto(out, text, cover(words.findAll(text), text.size()), Behavior::isolated);
            else
                out.push_back(text);
            for (std::size_t i = first; i < out.size(); ++i)
                out[i] = asSymbols(out[i]);
        }));
    } else if (type == "Split") {
        const Pattern pattern(part.at("pattern"));
        const Behavior behavior = behaviorOf(part.at("behavior"));
        const bool invert = part.booleanOr("invert", false);
        m_steps.push_back(
            eachWord([pattern, behavior, invert](Words& out, const std::string& word) {
                splitInto(out, word, cover(pattern.findAll(word), word.size()), behavior, invert);
            }));
    } else if (type == "Digits" || type == "Punctuation") {
        const bool digits = type == "Digits";
        const Behavior behavior =
            !digits ? (part.has("behavior") ? behaviorOf(part.at("behavior")) : Behavior::isolated)
            : part.booleanOr("individual_digits", false) ? Behavior::isolated
                                                         : Behavior::contiguous;
        bool (*wanted)(char32_t) = digits ? isNumeric : isPunctuation;
        m_steps.push_back(eachWord([wanted, behavior](Words& out, const std::string& word) {
            splitInto(out, word, cover(findCharacters(word, wanted), word.size()), behavior);
        }));
    } else if (type == "WhitespaceSplit") {
        m_steps.push_back(eachWord([](Words& out, const std::string& word) {
            splitInto(out, word, cover(findCharacters(word, isWhitespace), word.size()),
                      Behavior::removed);
        }));
    } else if (type == "Whitespace") {
        m_steps.push_back(eachWord([](Words& out, const std::string& word) {
            splitInto(out, word, cover(wordsAndOthers(word), word.size()), Behavior::removed, true);
        }));
    } else if (type == "Metaspace") {
        const std::string mark = part.stringOr("replacement", "▁");
        // Older files say add_prefix_space instead of prepend_scheme.
        const std::string scheme = part.stringOr(
            "prepend_scheme", part.booleanOr("add_prefix_space", true) ? "always" : "never");
        if (scheme != "always" && scheme != "first" && scheme != "never")
            part.unknown("the prepend scheme '" + scheme + "' is not known here");
        const bool split = part.booleanOr("split", true);
        m_steps.push_back([mark, scheme, split](Words words, bool firstPiece) {
            Words out;
            for (std::size_t k = 0; k < words.size(); ++k) {
                std::string text;
                for (const char c : words[k])
                    text += c == ' ' ? mark : std::string(1, c);
                const bool wanted =
                    scheme == "always" || (scheme == "first" && firstPiece && k == 0);
                if (wanted && text.compare(0, mark.size(), mark) != 0)
                    text.insert(0, mark);
                if (!split) {
                    out.push_back(text);
                    continue;
                }
                std::vector<Match> marks;
                for (std::size_t at = 0; (at = text.find(mark, at)) != std::string::npos;
                     at += mark.size())
                    marks.push_back({at, at + mark.size()});
                splitInto(out, text, cover(marks, text.size()), Behavior::mergedWithNext);
            }
            return out;
        });
    } else {
        part.unknown("the pre-tokenizer '" + type + "' is not known here");
    }
}

PreTokenizer::Words PreTokenizer::apply(std::string text, bool firstPiece) const {
    Words words;
    if (!text.empty())
        words.push_back(std::move(text));
    for (const Step& step : m_steps)
        words = step(std::move(words), firstPiece);
    return words;
}

} // namespace qkov::text
