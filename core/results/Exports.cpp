// SPDX-License-Identifier: GPL-3.0-or-later
#include "base/AtomicFile.h"
#include "results/OutFile.h"
#include "results/Summary.h"

#include <charconv>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

namespace qkov::results {
namespace {

using engine::ScoreHeader;
using engine::Scores;

/// RFC 4180: quoted where it holds a comma, a quote or a line end; quotes doubled.
std::string quoted(const std::string& field) {
    if (field.find_first_of(",\"\r\n") == std::string::npos) {
        return field;
    }
    std::string out = "\"";
    for (const char c : field) {
        out += c;
        if (c == '"') {
            out += c;
        }
    }
    return out + "\"";
}

/// The shortest text that reads back as the same number.
template <class T>
void appendNumber(std::string& line, T value) {
    if (std::isnan(value)) {
        line += "NaN";
        return;
    }
    char text[40];
    const auto end = std::to_chars(text, text + sizeof text, value).ptr;
    line.append(text, end);
}

void appendCell(std::string& line, const ScoreHeader& h, Block block, std::size_t l,
                std::size_t c) {
    line += blockName(block);
    line += ',' + std::to_string(h.layers[l]) + ',' + std::to_string(h.heads[c]);
}

std::string typeName(const ScoreHeader& h, std::size_t l, std::size_t c) {
    const auto at =
        static_cast<std::size_t>(h.layers[l]) * static_cast<std::size_t>(h.model.numHeads) +
        static_cast<std::size_t>(h.heads[c]);
    const dump::HeadTypes& t = h.headTypes;
    return at < t.type.size() && t.type[at] < t.names.size() ? t.names[t.type[at]] : std::string();
}

} // namespace

void exportCellsCsv(const Scores& scores, const std::filesystem::path& file, Job* job) {
    constexpr double nan = std::numeric_limits<double>::quiet_NaN();
    const ScoreHeader& h = scores.header();
    OutFile out(file);
    out.write("block,layer,head,kv_head,type,mean,max,median,p95,fisher_min,fisher_median,"
              "fisher_max,fisher_share_below,fisher_lambda\r\n");
    for (const Block block : allBlocks) {
        if (!h.blocks[blockIndex(block)]) {
            continue;
        }
        for (std::size_t l = 0; l < h.layers.size(); ++l) {
            std::vector<std::array<double, 3>> shared(h.heads.size(), {nan, nan, nan});
            for (std::size_t c = 0; c < h.heads.size(); ++c) {
                if (job) {
                    job->checkCancelled();
                }
                const bool computed = scores.computed(l);
                if (computed && h.distinct(block, c)) {
                    const std::vector<float> pairs = scores.pairs(block, l, c);
                    shared[c] = {reducePairs(pairs, Reduction::max),
                                 reducePairs(pairs, Reduction::median),
                                 reducePairs(pairs, Reduction::percentile95)};
                }
                std::string line;
                appendCell(line, h, block, l, c);
                line += ',' + std::to_string(h.model.kvHead(h.heads[c])) + ',' +
                        quoted(typeName(h, l, c)) + ',';
                appendNumber(line, computed ? scores.mean(block, l, c) : nan);
                for (const double v : shared[h.representative(block, c)]) {
                    line += ',';
                    appendNumber(line, v);
                }
                const engine::CellHealth f = computed ? scores.health(block, l, c)
                                                      : engine::CellHealth{nan, nan, nan, nan, nan};
                for (const double v : {f.min, f.median, f.max, f.shareBelow, f.lambda}) {
                    line += ',';
                    appendNumber(line, v);
                }
                out.write(line += "\r\n");
            }
        }
    }
    out.commit();
}

void exportPairsCsv(const Scores& scores, const std::filesystem::path& file, Job* job) {
    const ScoreHeader& h = scores.header();
    std::vector<std::string> idsB;
    for (const dump::SampleInfo& s : h.samplesB) {
        idsB.push_back(quoted(s.id));
    }
    OutFile out(file);
    out.write("block,layer,head,sample_a,sample_b,score\r\n");
    for (const Block block : allBlocks) {
        for (std::size_t l = 0; l < h.layers.size(); ++l) {
            for (std::size_t c = 0; c < h.heads.size(); ++c) {
                if (!h.blocks[blockIndex(block)] || !scores.computed(l) || !h.distinct(block, c)) {
                    continue;
                }
                const std::vector<float> pairs = scores.pairs(block, l, c);
                for (std::size_t i = 0; !pairs.empty() && i < h.nA(); ++i) {
                    if (job) {
                        job->checkCancelled();
                    }
                    std::string start;
                    appendCell(start, h, block, l, c);
                    start += ',' + quoted(h.samplesA[i].id) + ',';
                    std::string lines;
                    for (std::size_t j = 0; j < h.nB(); ++j) {
                        lines += start + idsB[j] + ',';
                        appendNumber(lines, pairs[i * h.nB() + j]);
                        lines += "\r\n";
                    }
                    out.write(lines);
                }
            }
        }
    }
    out.commit();
}

std::string jsonText(const nlohmann::json& value, int indent) {
    return value.dump(indent, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

void exportJson(const Scores& scores, const std::filesystem::path& file, std::size_t top) {
    writeTextFile(file, jsonText(toJson(scores, top)));
}

} // namespace qkov::results
