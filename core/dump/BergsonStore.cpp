// SPDX-License-Identifier: GPL-3.0-or-later
// bergson gradient stores: gradients.bin, row-major [num_grads, Σ grad_sizes]; info.json says the
// sizes in order. With attribute_tokens a row is a token's gradient, and offsets.npy says which
// rows are a sample's: their sum is the sample's gradient.
#include "base/Error.h"
#include "dump/ImportStore.h"

#include <cstring>

namespace qkov::dump {
namespace {

constexpr std::int64_t maxSamples = std::int64_t(1) << 28;
constexpr std::int64_t maxRow = std::int64_t(1) << 40;

/// `count` int64 numbers of a one-dimensional .npy file.
std::vector<std::int64_t> readOffsets(const std::filesystem::path& file, std::int64_t count) {
    constexpr std::uint64_t largestHeader = 65536 + 12;
    const std::string bytes = readText(file, largestHeader + 8 * static_cast<std::uint64_t>(count));
    const auto fail = [&](const std::string& what) -> void {
        throw InputError(what, file, {}, "expected one-dimensional little-endian int64 numbers");
    };
    if (bytes.size() < 12 || bytes.compare(0, 6, "\x93NUMPY") != 0) {
        fail("is not a .npy file");
    }
    const bool wide = bytes[6] >= 2;
    std::uint32_t length = 0;
    std::memcpy(&length, bytes.data() + 8, wide ? 4 : 2);
    const std::size_t start = (wide ? 12U : 10U) + std::size_t(length);
    if (start > bytes.size() || (bytes.size() - start) % 8 != 0) {
        fail("is truncated");
    }
    const std::string header = bytes.substr(wide ? 12 : 10, length);
    if (header.find("'<i8'") == std::string::npos ||
        header.find("'fortran_order': False") == std::string::npos) {
        fail("holds other numbers");
    }
    std::vector<std::int64_t> offsets((bytes.size() - start) / 8);
    std::memcpy(offsets.data(), bytes.data() + start, offsets.size() * 8);
    return offsets;
}

class BergsonStore final : public GradientStore {
  public:
    explicit BergsonStore(const std::filesystem::path& folder)
        : m_raw(folder / "gradients.bin") {
        const std::filesystem::path infoFile = folder / "info.json";
        const auto info = parseStoreJson(readText(infoFile, 64U << 20), infoFile);
        const auto fail = [&](const std::string& what, const char* key) -> void {
            throw InputError(what, infoFile, key);
        };
        if (!info.is_object()) {
            fail("is not a JSON object", "");
        }
        const auto integer = [&](const char* key) {
            const auto it = info.find(key);
            const auto n = it == info.end() ? std::nullopt : wholeNumber(*it, maxSamples);
            if (!n) {
                fail("is not a sensible number", key);
            }
            return n.value_or(0);
        };
        const std::int64_t rows = integer("num_grads");
        const std::int64_t items = info.contains("num_items") ? integer("num_items") : rows;
        const auto sizes = info.find("grad_sizes");
        if (sizes == info.end() || !sizes->is_object() || sizes->empty()) {
            fail("is not an object of sizes", "grad_sizes");
        }
        for (const auto& [name, size] : sizes->items()) {
            const std::int64_t n = wholeNumber(size, maxRow).value_or(0);
            if (n <= 0 || n > maxRow - m_rowCount) {
                fail("'" + name + "' is not a sensible size", "grad_sizes");
            }
            m_modules.push_back({name, n, 0, 0});
            m_starts.push_back(m_rowCount);
            m_rowCount += n;
        }
        const auto dtype = info.find("base_dtype");
        if (dtype == info.end() || !dtype->is_string()) {
            fail("is missing", "base_dtype");
        }
        m_dtype = numpyDType(dtype->get<std::string>(), infoFile, "base_dtype");

        if (items == 0) {
            throw InputError("holds no samples", folder);
        }
        const auto tokens = info.find("attribute_tokens");
        if (tokens != info.end() && !tokens->is_boolean() && !tokens->is_null()) {
            fail("is neither true nor false", "attribute_tokens");
        }
        if (tokens != info.end() && *tokens == true) {
            m_offsets = readOffsets(folder / "offsets.npy", items + 1);
            bool sound = static_cast<std::int64_t>(m_offsets.size()) == items + 1 &&
                         m_offsets.front() == 0 && m_offsets.back() == rows;
            for (std::size_t i = 1; sound && i < m_offsets.size(); ++i) {
                sound = m_offsets[i] >= m_offsets[i - 1];
            }
            if (!sound) {
                throw InputError("doesn't split the " + std::to_string(rows) + " rows among " +
                                     std::to_string(items) + " samples",
                                 folder / "offsets.npy");
            }
        } else if (items != rows) {
            fail("is " + std::to_string(rows) + ", but num_items is " + std::to_string(items),
                 "num_grads");
        }
        std::uint64_t needed = 0;
        if (__builtin_mul_overflow(static_cast<std::uint64_t>(rows),
                                   static_cast<std::uint64_t>(m_rowCount) * dtypeSize(m_dtype),
                                   &needed)) {
            needed = ~std::uint64_t(0);
        }
        if (needed != m_raw.bytes()) {
            throw InputError("has " + std::to_string(m_raw.bytes()) +
                                 " bytes, but info.json says " + std::to_string(rows) +
                                 " rows of " + std::to_string(m_rowCount) + " " +
                                 std::string(dtypeName(m_dtype)) + " numbers",
                             m_raw.file(), {}, "the file may be truncated");
        }
        for (std::int64_t i = 0; i < items; ++i) {
            m_ids.push_back(std::to_string(i));
        }
        if (isThere(folder / "normalizers.pth")) {
            m_warnings.push_back((folder / "normalizers.pth").string() +
                                 ": the gradients were scaled by an optimizer's second moments; "
                                 "their scores are not those of plain gradients");
        }
    }

    std::string kind() const override { return "bergson"; }
    DType dtype() const override { return m_dtype; }
    const std::vector<StoreModule>& modules() const override { return m_modules; }
    const std::vector<std::string>& ids() const override { return m_ids; }
    bool ordered() const override { return true; }
    const std::vector<std::string>& warnings() const override { return m_warnings; }

    void read(std::size_t sample, std::size_t module, float* target) const override {
        const auto n = static_cast<std::size_t>(m_modules[module].count);
        std::vector<std::byte> bytes(n * dtypeSize(m_dtype));
        const auto row = [&](std::int64_t index, float* to) {
            const auto at =
                (static_cast<std::uint64_t>(index) * static_cast<std::uint64_t>(m_rowCount) +
                 static_cast<std::uint64_t>(m_starts[module])) *
                dtypeSize(m_dtype);
            m_raw.read(at, bytes.size(), bytes.data());
            convertStored(bytes.data(), m_dtype, n, to, m_raw.file());
        };
        if (m_offsets.empty()) {
            row(static_cast<std::int64_t>(sample), target);
            return;
        }
        std::vector<float> token(n);
        std::vector<double> sum(n, 0.0);
        for (std::int64_t r = m_offsets[sample]; r < m_offsets[sample + 1]; ++r) {
            row(r, token.data());
            for (std::size_t k = 0; k < n; ++k) {
                sum[k] += static_cast<double>(token[k]);
            }
        }
        for (std::size_t k = 0; k < n; ++k) {
            target[k] = static_cast<float>(sum[k]);
        }
    }

  private:
    RawFile m_raw;
    DType m_dtype = DType::f32;
    std::vector<StoreModule> m_modules;
    std::vector<std::int64_t> m_starts;
    std::int64_t m_rowCount = 0;
    std::vector<std::int64_t> m_offsets;
    std::vector<std::string> m_ids;
    std::vector<std::string> m_warnings;
};

} // namespace

std::unique_ptr<GradientStore> openBergsonStore(const std::filesystem::path& folder) {
    if (!isThere(folder / "info.json") || !isThere(folder / "gradients.bin")) {
        return nullptr;
    }
    return std::make_unique<BergsonStore>(folder);
}

} // namespace qkov::dump
