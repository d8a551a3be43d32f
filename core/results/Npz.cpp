// SPDX-License-Identifier: GPL-3.0-or-later
// NumPy archives: a ZIP of .npy files, stored uncompressed, with ZIP64 sizes throughout.
// Sources: NumPy's NEP 1 (format 1.0), PKWARE APPNOTE 6.3.
#include "results/OutFile.h"
#include "results/Summary.h"

#include <array>
#include <bit>
#include <limits>
#include <nlohmann/json.hpp>

namespace qkov::results {
namespace {

using engine::ScoreHeader;
using engine::Scores;

static_assert(std::endian::native == std::endian::little,
              "arrays are written as they lie in memory");

constexpr std::array<std::uint32_t, 256> crcTable = [] {
    std::array<std::uint32_t, 256> table{};
    for (std::uint32_t n = 0; n < 256; ++n) {
        std::uint32_t c = n;
        for (int bit = 0; bit < 8; ++bit) {
            c = c & 1 ? 0xedb88320u ^ (c >> 1) : c >> 1;
        }
        table[n] = c;
    }
    return table;
}();

/// Little-endian fields of ZIP headers.
class Fields {
  public:
    Fields& u16(std::uint64_t v) { return put(v, 2); }
    Fields& u32(std::uint64_t v) { return put(v, 4); }
    Fields& u64(std::uint64_t v) { return put(v, 8); }
    const std::string& text() const { return m_text; }

  private:
    Fields& put(std::uint64_t v, int bytes) {
        for (int i = 0; i < bytes; ++i) {
            m_text += static_cast<char>(v >> (8 * i) & 0xff);
        }
        return *this;
    }
    std::string m_text;
};

/// Sizes come first and the checksum behind the data (a data descriptor), so that arrays larger
/// than memory can be streamed.
class NpzWriter {
  public:
    explicit NpzWriter(const std::filesystem::path& file)
        : m_out(file) {}

    /// Begins array `name`; `bytes` of data follow through data().
    void begin(const std::string& name, const std::string& dtype,
               const std::vector<std::size_t>& shape, std::uint64_t bytes) {
        std::string dims = "(";
        for (const std::size_t d : shape) {
            dims += std::to_string(d) + ",";
        }
        std::string head =
            "{'descr': '" + dtype + "', 'fortran_order': False, 'shape': " + dims + "), }";
        // Magic, version, length (10 bytes) and header together fill a multiple of 64.
        head.append((64 - (10 + head.size() + 1) % 64) % 64, ' ');
        head += '\n';
        const std::string npy =
            std::string("\x93NUMPY\x01\0", 8) + Fields().u16(head.size()).text() + head;
        Entry e;
        e.name = name + ".npy";
        e.offset = m_out.position();
        e.size = npy.size() + bytes;
        m_out.write(Fields()
                        .u32(0x04034b50)
                        .u16(45)
                        .u16(8) // checksum behind the data
                        .u16(0)
                        .u32(0x00210000) // 1980-01-01: the same numbers give the same file
                        .u32(0)
                        .u32(0xffffffff)
                        .u32(0xffffffff)
                        .u16(e.name.size())
                        .u16(20)
                        .text());
        m_out.write(e.name);
        m_out.write(Fields().u16(1).u16(16).u64(e.size).u64(e.size).text());
        m_entries.push_back(e);
        m_crc = 0xffffffff;
        data(npy.data(), npy.size());
    }
    void data(const void* bytes, std::size_t count) {
        const auto* p = static_cast<const unsigned char*>(bytes);
        std::uint32_t c = m_crc;
        for (std::size_t i = 0; i < count; ++i) {
            c = crcTable[(c ^ p[i]) & 0xff] ^ (c >> 8);
        }
        m_crc = c;
        m_out.write(bytes, count);
    }
    void end() {
        Entry& e = m_entries.back();
        e.crc = ~m_crc;
        m_out.write(Fields().u32(0x08074b50).u32(e.crc).u64(e.size).u64(e.size).text());
    }
    template <class T>
    void array(const std::string& name, const std::string& dtype,
               const std::vector<std::size_t>& shape, const std::vector<T>& values) {
        begin(name, dtype, shape, values.size() * sizeof(T));
        data(values.data(), values.size() * sizeof(T));
        end();
    }

    void commit() {
        const std::uint64_t start = m_out.position();
        for (const Entry& e : m_entries) {
            m_out.write(Fields()
                            .u32(0x02014b50)
                            .u16(45)
                            .u16(45)
                            .u16(8)
                            .u16(0)
                            .u32(0x00210000)
                            .u32(e.crc)
                            .u32(0xffffffff)
                            .u32(0xffffffff)
                            .u16(e.name.size())
                            .u16(28)
                            .u16(0)
                            .u16(0)
                            .u16(0)
                            .u32(0)
                            .u32(0xffffffff)
                            .text());
            m_out.write(e.name);
            m_out.write(Fields().u16(1).u16(24).u64(e.size).u64(e.size).u64(e.offset).text());
        }
        const std::uint64_t end = m_out.position();
        const std::uint64_t n = m_entries.size();
        m_out.write(Fields()
                        .u32(0x06064b50)
                        .u64(44)
                        .u16(45)
                        .u16(45)
                        .u32(0)
                        .u32(0)
                        .u64(n)
                        .u64(n)
                        .u64(end - start)
                        .u64(start)
                        .u32(0x07064b50) // locator
                        .u32(0)
                        .u64(end)
                        .u32(1)
                        .u32(0x06054b50) // end of central directory
                        .u16(0)
                        .u16(0)
                        .u16(n)
                        .u16(n)
                        .u32(0xffffffff)
                        .u32(0xffffffff)
                        .u16(0)
                        .text());
        m_out.commit();
    }

  private:
    struct Entry {
        std::string name;
        std::uint64_t offset = 0;
        std::uint64_t size = 0;
        std::uint32_t crc = 0;
    };
    OutFile m_out;
    std::vector<Entry> m_entries;
    std::uint32_t m_crc = 0;
};

/// UTF-8 to code points; broken sequences become U+FFFD.
std::u32string codePoints(const std::string& text) {
    std::u32string out;
    for (std::size_t i = 0; i < text.size();) {
        const auto lead = static_cast<unsigned char>(text[i]);
        const std::size_t length = lead < 0x80           ? 1
                                   : (lead >> 5) == 0x6  ? 2
                                   : (lead >> 4) == 0xe  ? 3
                                   : (lead >> 3) == 0x1e ? 4
                                                         : 0;
        char32_t c = length == 1 ? lead : length ? lead & (0x7fu >> length) : 0;
        bool good = length > 0 && i + length <= text.size();
        for (std::size_t k = 1; good && k < length; ++k) {
            const auto next = static_cast<unsigned char>(text[i + k]);
            good = (next & 0xc0) == 0x80;
            c = c << 6 | (next & 0x3f);
        }
        good = good && c <= 0x10ffff && (c < 0xd800 || c > 0xdfff);
        out += good ? c : U'\ufffd';
        i += good ? length : 1;
    }
    return out;
}

/// NumPy's fixed-width unicode: every string takes the longest one's width.
void writeStrings(NpzWriter& npz, const std::string& name, const std::vector<std::string>& strings,
                  const std::vector<std::size_t>& shape, const std::filesystem::path& file) {
    std::vector<std::u32string> wide;
    std::size_t width = 1;
    for (const std::string& s : strings) {
        wide.push_back(codePoints(s));
        width = std::max(width, wide.back().size());
    }
    if (width > (std::size_t(256) << 20) / 4 / std::max<std::size_t>(1, strings.size())) {
        throw InputError("can't hold " + name + ": its texts are too long", file, {},
                         "export as json or csv");
    }
    std::vector<char32_t> flat(width * strings.size(), U'\0');
    for (std::size_t i = 0; i < wide.size(); ++i) {
        std::copy(wide[i].begin(), wide[i].end(),
                  flat.begin() + static_cast<std::ptrdiff_t>(i * width));
    }
    npz.array(name, "<U" + std::to_string(width), shape, flat);
}

void writeScores(NpzWriter& npz, const Scores& scores, Block block, Job* job) {
    const ScoreHeader& h = scores.header();
    const std::size_t nl = h.layers.size();
    const std::size_t nh = h.heads.size();
    const std::size_t cell = h.nA() * h.nB();
    const std::string suffix(1, blockName(block));
    const std::vector<float> none(cell, std::numeric_limits<float>::quiet_NaN());
    std::vector<double> health;
    npz.begin("scores_" + suffix, "<f4", {nl, nh, h.nA(), h.nB()}, nl * nh * cell * sizeof(float));
    for (std::size_t l = 0; l < nl; ++l) {
        for (std::size_t c = 0; c < nh; ++c) {
            if (job) {
                job->checkCancelled();
            }
            const std::vector<float> pairs =
                scores.computed(l) ? scores.pairs(block, l, c) : std::vector<float>();
            npz.data((pairs.empty() ? none : pairs).data(), cell * sizeof(float));
            const engine::CellHealth f = scores.health(block, l, c);
            health.insert(health.end(), {f.min, f.median, f.max, f.shareBelow, f.lambda});
        }
    }
    npz.end();
    npz.array("layer_head_mean_" + suffix, "<f8", {nl, nh}, reduce(scores, block, Reduction::mean));
    npz.array("fisher_health_" + suffix, "<f8", {nl, nh, 5}, health);
}

std::vector<std::string> ids(const std::vector<dump::SampleInfo>& samples) {
    std::vector<std::string> out;
    for (const dump::SampleInfo& s : samples) {
        out.push_back(s.id);
    }
    return out;
}

} // namespace

void exportNpz(const Scores& scores, const std::filesystem::path& file, Job* job) {
    const ScoreHeader& h = scores.header();
    NpzWriter npz(file);
    npz.array("layers", "<i4", {h.layers.size()}, h.layers);
    npz.array("heads", "<i4", {h.heads.size()}, h.heads);
    writeStrings(npz, "samples_a", ids(h.samplesA), {h.nA()}, file);
    writeStrings(npz, "samples_b", ids(h.samplesB), {h.nB()}, file);
    writeStrings(npz, "config_json",
                 {h.configJson.empty() ? toJson(h.request).dump() : h.configJson}, {}, file);
    for (const Block block : allBlocks) {
        if (h.blocks[blockIndex(block)]) {
            writeScores(npz, scores, block, job);
        }
    }
    npz.commit();
}

} // namespace qkov::results
