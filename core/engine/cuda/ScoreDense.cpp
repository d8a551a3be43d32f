// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/cuda/ScoreDense.h"

#include "engine/cuda/ScoreGeneral.h"
#include "engine/cuda/TensorMap.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <tuple>

namespace qkov::engine::cuda {
namespace {

std::int64_t ceilDiv(std::int64_t a, std::int64_t b) {
    return (a + b - 1) / b;
}

/// A map over [samples, rows, columns] 16-bit numbers, read in boxes of tileWidth columns of one
/// row of `boxSamples` samples.
CUtensorMap denseMap(const void* data, bool bfloat, const DenseMatrix& m, std::int64_t rows,
                     std::int64_t columns, int boxSamples) {
    // The stride of a single row is never used, but must be valid.
    return tensorMap<3>(
        {"samples",
         bfloat ? CU_TENSOR_MAP_DATA_TYPE_BFLOAT16 : CU_TENSOR_MAP_DATA_TYPE_FLOAT16,
         data,
         {columns, rows, m.samples},
         {(rows == 1 ? m.sampleStride : m.rowStride) * 2, m.sampleStride * 2},
         {tileWidth, 1, boxSamples}});
}

bool consecutive(std::span<const std::int32_t> samples) {
    for (std::size_t i = 1; i < samples.size(); ++i) {
        if (samples[i] != samples[i - 1] + 1) {
            return false;
        }
    }
    return true;
}

bool aligned(const DenseMatrix& m, std::int64_t row, std::int64_t column, std::int64_t rows) {
    const auto start = reinterpret_cast<std::uintptr_t>(m.data) +
                       static_cast<std::uintptr_t>(row * m.rowStride + column) * 2;
    return start % 16 == 0 && reinterpret_cast<std::uintptr_t>(m.data) % 16 == 0 &&
           (rows == 1 || m.rowStride % 8 == 0) && m.sampleStride % 8 == 0;
}

double elementFactor(Element e, double scale) {
    switch (e) {
    case Element::square:
        return scale * scale;
    case Element::squareRoot:
        return std::sqrt(scale);
    case Element::identity:
    case Element::absolute:
        break;
    }
    return scale;
}

} // namespace

DenseSlice flattened(const DenseSlice& s, const DenseMatrix& a, const DenseMatrix& b) {
    if (s.rows > 1 && s.columns % tileWidth != 0 && a.rowStride == s.columns &&
        b.rowStride == s.columns) {
        DenseSlice flat = s;
        flat.columnA = s.rowA * a.rowStride;
        flat.columnB = s.rowB * b.rowStride;
        flat.rowA = flat.rowB = 0;
        flat.rows = 1;
        flat.columns = s.rows * s.columns;
        return flat;
    }
    return s;
}

DenseScorer::DenseScorer() {
    int device = 0;
    check(cudaGetDevice(&device), "current device");
    int major = 0;
    int minor = 0;
    check(cudaDeviceGetAttribute(&m_multiprocessors, cudaDevAttrMultiProcessorCount, device),
          "device properties");
    check(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device),
          "device properties");
    check(cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, device),
          "device properties");
    m_hopper = major == 9 && minor == 0;
}

bool DenseScorer::hopperServes(const DenseRequest& r, const DenseSlice& s) const {
    if (generalOnly || !m_hopper || (r.dtype != DType::f16 && r.dtype != DType::bf16) ||
        r.elementA == Element::squareRoot ||
        (r.elementB != Element::absolute && r.elementB != Element::identity) ||
        !consecutive(r.samplesA) || !consecutive(r.samplesB)) {
        return false;
    }
    if (r.dtype == DType::bf16) {
        // Products of unscaled numbers would leave float32's range.
        const auto tiny = [](double scale) { return scale > 0x1p60 || scale < 0x1p-60; };
        if (std::any_of(r.scalesA.begin(), r.scalesA.end(), tiny) ||
            std::any_of(r.scalesB.begin(), r.scalesB.end(), tiny)) {
            return false;
        }
    }
    const DenseMatrix& a = r.a[s.matrixA];
    const DenseMatrix& b = r.b[s.matrixB];
    // Narrow slices would fill most of each tile with padding; the general kernel minds less.
    return s.columns >= tileWidth / 2 && aligned(a, s.rowA, s.columnA, s.rows) &&
           aligned(b, s.rowB, s.columnB, s.rows);
}

int DenseScorer::chunksFor(std::int64_t blocks, int tiles) const {
    const int fewest = static_cast<int>(ceilDiv(tiles, tilesPerItem > 0 ? tilesPerItem : 256));
    if (tilesPerItem > 0) {
        return fewest;
    }
    int best = fewest;
    double bestCost = 0;
    for (int chunks = fewest; chunks <= std::max(fewest, tiles / 16); ++chunks) {
        // Rounds of one item per multiprocessor; an item costs about three tiles by itself, and a
        // partial sum to write and read again costs about one.
        const double cost = static_cast<double>(ceilDiv(blocks * chunks, m_multiprocessors)) *
                            static_cast<double>(ceilDiv(tiles, chunks) + 4);
        if (chunks == fewest || cost < bestCost) {
            best = chunks;
            bestCost = cost;
        }
    }
    return best;
}

void DenseScorer::score(const DenseRequest& request, cudaStream_t stream) {
    if (request.samplesA.empty() || request.samplesB.empty()) {
        return;
    }
    std::vector<std::size_t> hopper;
    std::vector<std::size_t> general;
    for (std::size_t i = 0; i < request.slices.size(); ++i) {
        (hopperServes(request, request.slices[i]) ? hopper : general).push_back(i);
    }
    const auto inBatches = [&](const std::vector<std::size_t>& slices, std::int64_t block,
                               auto&& run) {
        const std::int64_t blocks = ceilDiv(std::ssize(request.samplesA), block) *
                                    ceilDiv(std::ssize(request.samplesB), block);
        std::size_t first = 0;
        while (first < slices.size()) {
            std::size_t last = first;
            std::int64_t bytes = 0;
            while (last < slices.size()) {
                const DenseSlice& s = request.slices[slices[last]];
                const std::int64_t tiles = weightCount(s.rows, s.columns) / tileWidth;
                const std::int64_t chunks =
                    chunksFor(blocks * std::ssize(slices), static_cast<int>(tiles));
                bytes += blocks * chunks * generalBlock * generalBlock * 4;
                if (last > first && bytes > static_cast<std::int64_t>(partialLimit)) {
                    break;
                }
                ++last;
            }
            run(std::span(slices).subspan(first, last - first));
            first = last;
        }
    };
    inBatches(hopper, sm90BlockA, [&](auto slices) { runHopper(request, slices, stream); });
    inBatches(general, generalBlock, [&](auto slices) { runGeneral(request, slices, stream); });
}

void DenseScorer::runHopper(const DenseRequest& r, std::span<const std::size_t> slices,
                            cudaStream_t stream) {
    const int nA = static_cast<int>(r.samplesA.size());
    const int nB = static_cast<int>(r.samplesB.size());
    const bool bfloat = r.dtype == DType::bf16;
    // Blocks of equal size: 257 samples are three blocks of 86, not 128 + 128 + 1.
    const int blocksA = static_cast<int>(ceilDiv(nA, sm90BlockA));
    const int blocksB = static_cast<int>(ceilDiv(nB, sm90BlockB));
    const int sizeA = static_cast<int>(ceilDiv(nA, blocksA));
    const int sizeB = static_cast<int>(ceilDiv(nB, blocksB));
    const int width = sm90Width(sizeB);

    std::vector<CUtensorMap> maps;
    std::map<std::tuple<const void*, std::int64_t, std::int64_t, int>, int> known;
    const auto mapOf = [&](const DenseMatrix& m, std::int64_t rows, std::int64_t columns,
                           const void* data, int box) {
        const auto [at, isNew] =
            known.try_emplace({data, rows, columns, box}, static_cast<int>(maps.size()));
        if (isNew) {
            maps.push_back(denseMap(data, bfloat, m, rows, columns, box));
        }
        return at->second;
    };
    struct Place {
        int map;
        int row, column;
    };
    // Slices that end at a tile's edge, and lie at the same place in both tasks, share their
    // matrix's map; others get one that ends with them, so that the copy fills the rest of the last
    // tile with zeros.
    const auto place = [&](const DenseMatrix& m, std::int64_t row, std::int64_t column,
                           const DenseSlice& s, int box) -> Place {
        const bool flat = s.rows == 1 && s.columns > m.columns;
        const bool together = s.rowA == s.rowB && s.columnA == s.columnB;
        if (s.columns % tileWidth == 0 && m.rowStride % 8 == 0 && !flat && together) {
            return {mapOf(m, m.rows, m.columns, m.data, box), static_cast<int>(row),
                    static_cast<int>(column)};
        }
        const auto* data = static_cast<const std::uint16_t*>(m.data) + row * m.rowStride + column;
        return {mapOf(m, s.rows, s.columns, data, box), 0, 0};
    };

    std::vector<double> factors;
    std::vector<float> scales;
    std::vector<ReduceItem> reduces;
    std::vector<Sm90Entry> entries;
    std::vector<Sm90Item> items;
    const std::int64_t blocks = std::int64_t(blocksA) * blocksB;
    std::int64_t partial = 0;
    std::size_t runBegin = 0;
    // Heads of one matrix lie side by side in memory: the same rows of all of them run at the same
    // time, so that memory pages are read whole.
    const auto endRun = [&] {
        for (int c = 0; runBegin < entries.size() && c < entries[runBegin].chunks; ++c) {
            for (std::size_t e = runBegin; e < entries.size(); ++e) {
                items.push_back({static_cast<int>(e), c});
            }
        }
        runBegin = entries.size();
    };
    const DenseSlice* last = nullptr;
    for (const std::size_t index : slices) {
        const DenseSlice& s = r.slices[index];
        if (last != nullptr &&
            (last->matrixA != s.matrixA || last->rows != s.rows || last->columns != s.columns)) {
            endRun();
        }
        last = &s;
        const Place a = place(r.a[s.matrixA], s.rowA, s.columnA, s, sizeA);
        const Place b = place(r.b[s.matrixB], s.rowB, s.columnB, s, sizeB);
        Sm90Entry entry{};
        entry.mapA = a.map;
        entry.mapB = b.map;
        entry.column = a.column;
        entry.row = a.row;
        entry.tilesPerRow = static_cast<int>(ceilDiv(s.columns, tileWidth));
        entry.tiles = static_cast<int>(s.rows) * entry.tilesPerRow;
        entry.chunks = chunksFor(std::ssize(slices) * blocks, entry.tiles);
        entry.weights = s.weights;
        ReduceItem reduce{partial, s.scores, -1, -1, entry.chunks};
        std::int64_t scaleAt = -1;
        if (!r.scalesA.empty()) {
            const auto own = r.scalesA.subspan(index * nA, nA);
            if (bfloat) {
                scaleAt = std::ssize(scales);
                scales.insert(scales.end(), own.begin(), own.end());
            } else {
                reduce.factorsA = std::ssize(factors);
                for (const double f : own) {
                    factors.push_back(elementFactor(r.elementA, f));
                }
            }
        }
        if (!r.scalesB.empty()) {
            reduce.factorsB = std::ssize(factors);
            for (const double f : r.scalesB.subspan(index * nB, nB)) {
                factors.push_back(elementFactor(r.elementB, f));
            }
        }
        reduces.push_back(reduce);
        for (int ba = 0; ba < blocksA; ++ba) {
            for (int bb = 0; bb < blocksB; ++bb) {
                entry.sampleA = r.samplesA[0] + ba * sizeA;
                entry.sampleB = r.samplesB[0] + bb * sizeB;
                entry.scales = scaleAt < 0 ? -1 : scaleAt + ba * sizeA;
                entry.partial = partial;
                partial += std::int64_t(entry.chunks) * sm90BlockA * width;
                entries.push_back(entry);
            }
        }
    }
    endRun();
    // A block's last rows may lie behind the last scale.
    scales.resize(scales.size() + sm90BlockA, 0.0f);

    Tables collected;
    const std::size_t mapsAt = collected.add(maps);
    const std::size_t entriesAt = collected.add(entries);
    const std::size_t itemsAt = collected.add(items);
    const std::size_t reducesAt = collected.add(reduces);
    const std::size_t factorsAt = collected.add(factors);
    const std::size_t scalesAt = collected.add(scales);
    m_partials.reserve(static_cast<std::size_t>(partial) * 4);
    const unsigned char* tables = m_tables.send(collected, stream);

    Sm90Launch launch;
    launch.maps = reinterpret_cast<const CUtensorMap*>(tables + mapsAt);
    launch.entries = reinterpret_cast<const Sm90Entry*>(tables + entriesAt);
    launch.items = reinterpret_cast<const Sm90Item*>(tables + itemsAt);
    launch.itemCount = static_cast<int>(items.size());
    launch.scales = reinterpret_cast<const float*>(tables + scalesAt);
    launch.partials = m_partials.as<float>();
    launch.samplesA = sizeA;
    launch.samplesB = sizeB;
    launch.width = width;
    launch.element = r.elementA;
    launch.absoluteB = r.elementB == Element::absolute;
    launch.bfloat = bfloat;
    launch.fast = r.fast;
    launch.multiprocessors = m_multiprocessors;

    ReduceLaunch reduce;
    reduce.items = reinterpret_cast<const ReduceItem*>(tables + reducesAt);
    reduce.itemCount = static_cast<int>(reduces.size());
    reduce.partials = m_partials.as<float>();
    reduce.factors = reinterpret_cast<const double*>(tables + factorsAt);
    reduce.samplesA = nA;
    reduce.samplesB = nB;
    reduce.blockRows = sizeA;
    reduce.blockColumns = sizeB;
    reduce.pitchRows = sm90BlockA;
    reduce.pitchColumns = width;
    for (int set = 0; set < r.sets; ++set) {
        launch.weights = r.weights + set * r.weightStride;
        launchSm90(launch, stream);
        reduce.scores = r.scores + std::int64_t(set) * nA * nB;
        launchReduce(reduce, stream);
    }
}

void DenseScorer::runGeneral(const DenseRequest& r, std::span<const std::size_t> slices,
                             cudaStream_t stream) {
    const int nA = static_cast<int>(r.samplesA.size());
    const int nB = static_cast<int>(r.samplesB.size());
    const int blocksA = static_cast<int>(ceilDiv(nA, generalBlock));
    const int blocksB = static_cast<int>(ceilDiv(nB, generalBlock));
    const std::int64_t partialFloats = std::int64_t(generalBlock) * generalBlock;
    const std::int64_t elementSize = static_cast<std::int64_t>(dtypeSize(r.dtype));

    std::vector<std::int32_t> lists(r.samplesA.begin(), r.samplesA.end());
    lists.insert(lists.end(), r.samplesB.begin(), r.samplesB.end());
    std::vector<double> scales;
    std::vector<GeneralItem> items;
    std::vector<ReduceItem> reduces;
    std::int64_t partial = 0;
    for (const std::size_t index : slices) {
        const DenseSlice& s = r.slices[index];
        const DenseMatrix& a = r.a[s.matrixA];
        const DenseMatrix& b = r.b[s.matrixB];
        const int tilesPerRow = static_cast<int>(ceilDiv(s.columns, tileWidth));
        const int tiles = static_cast<int>(s.rows) * tilesPerRow;
        const int chunks = chunksFor(std::ssize(slices) * blocksA * blocksB, tiles);
        std::int64_t scalesA = -1;
        std::int64_t scalesB = -1;
        if (!r.scalesA.empty()) {
            const auto own = r.scalesA.subspan(index * nA, nA);
            scalesA = std::ssize(scales);
            scales.insert(scales.end(), own.begin(), own.end());
        }
        if (!r.scalesB.empty()) {
            const auto own = r.scalesB.subspan(index * nB, nB);
            scalesB = std::ssize(scales);
            scales.insert(scales.end(), own.begin(), own.end());
        }
        reduces.push_back({partial, s.scores, -1, -1, chunks});
        for (int ba = 0; ba < blocksA; ++ba) {
            for (int bb = 0; bb < blocksB; ++bb) {
                for (int c = 0; c < chunks; ++c) {
                    const int first = static_cast<int>(std::int64_t(tiles) * c / chunks);
                    const int last = static_cast<int>(std::int64_t(tiles) * (c + 1) / chunks);
                    GeneralItem item{};
                    item.a = static_cast<const std::uint8_t*>(a.data) +
                             (s.rowA * a.rowStride + s.columnA) * elementSize;
                    item.b = static_cast<const std::uint8_t*>(b.data) +
                             (s.rowB * b.rowStride + s.columnB) * elementSize;
                    item.sampleStrideA = a.sampleStride;
                    item.rowStrideA = a.rowStride;
                    item.sampleStrideB = b.sampleStride;
                    item.rowStrideB = b.rowStride;
                    item.columns = s.columns;
                    item.listA = ba * generalBlock;
                    item.listB = nA + bb * generalBlock;
                    item.scalesA = scalesA < 0 ? -1 : scalesA + ba * generalBlock;
                    item.scalesB = scalesB < 0 ? -1 : scalesB + bb * generalBlock;
                    item.samplesA = std::min(generalBlock, nA - ba * generalBlock);
                    item.samplesB = std::min(generalBlock, nB - bb * generalBlock);
                    item.tilesPerRow = tilesPerRow;
                    item.firstTile = first;
                    item.tiles = last - first;
                    item.weights = s.weights + std::int64_t(first) * tileWidth;
                    item.partial = partial;
                    partial += partialFloats;
                    items.push_back(item);
                }
            }
        }
    }
    Tables collected;
    const std::size_t itemsAt = collected.add(items);
    const std::size_t reducesAt = collected.add(reduces);
    const std::size_t listsAt = collected.add(lists);
    const std::size_t scalesAt = collected.add(scales);
    m_partials.reserve(static_cast<std::size_t>(partial) * 4);
    const unsigned char* tables = m_tables.send(collected, stream);

    GeneralLaunch launch;
    launch.items = reinterpret_cast<const GeneralItem*>(tables + itemsAt);
    launch.itemCount = static_cast<int>(items.size());
    launch.samples = reinterpret_cast<const std::int32_t*>(tables + listsAt);
    launch.scales = reinterpret_cast<const double*>(tables + scalesAt);
    launch.partials = m_partials.as<float>();
    launch.elementA = r.elementA;
    launch.elementB = r.elementB;
    launch.type = r.dtype;
    launch.fast = r.fast;

    ReduceLaunch reduce;
    reduce.items = reinterpret_cast<const ReduceItem*>(tables + reducesAt);
    reduce.itemCount = static_cast<int>(reduces.size());
    reduce.partials = m_partials.as<float>();
    reduce.samplesA = nA;
    reduce.samplesB = nB;
    reduce.blockRows = reduce.blockColumns = generalBlock;
    reduce.pitchRows = reduce.pitchColumns = generalBlock;
    for (int set = 0; set < r.sets; ++set) {
        launch.weights = r.weights + set * r.weightStride;
        launchGeneral(launch, stream);
        reduce.scores = r.scores + std::int64_t(set) * nA * nB;
        launchReduce(reduce, stream);
    }
}

} // namespace qkov::engine::cuda
