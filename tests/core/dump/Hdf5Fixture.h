// SPDX-License-Identifier: GPL-3.0-or-later
// Changes a dump the way other tools, or accidents, write it.
#pragma once

#include "DumpFixture.h"
#include "dump/FloatType.h"
#include "dump/Hdf5.h"

#include <functional>

namespace fixture {

inline const std::string query = "model.layers.0.self_attn.q_proj.weight";
inline const std::string queryPath = "/tasks/t/gradients/" + query;
constexpr std::int64_t queryRows = 6, queryColumns = 10, querySamples = 7;

/// Gradients that float16 holds exactly.
inline std::vector<float> queryValues() {
    std::vector<float> v(static_cast<std::size_t>(querySamples * queryRows * queryColumns));
    for (std::size_t i = 0; i < v.size(); ++i) {
        v[i] = static_cast<float>(i) - 100.0f;
    }
    return v;
}

inline std::vector<float> bfloatValues() {
    auto v = queryValues();
    for (float& x : v) {
        x = stored(x, DType::bf16);
    }
    return v;
}

/// A task "t" of 7 samples: dense gradients of Q, factors of O, contributions of K, a Fisher.
/// LLaMA, 1 layer, 3 heads of 2, one key/value head, hidden size 10.
inline void writeBase(const std::filesystem::path& file) {
    DumpWriter w(file, llamaShape(1, 3, 1, 2, queryColumns), "base");
    w.writeHeadTypes({{"induction", "other"}, {0, 1, 0}, {}});
    w.beginTask("t", "mean", samples(querySamples));
    w.declareGradients(query, {queryRows, queryColumns}, DType::f32);
    w.writeGradients(query, 0, querySamples, queryValues().data());
    const std::string k = "model.layers.0.self_attn.k_proj.weight";
    w.declareContributions(k, {2, 10}, DType::f32, true);
    w.writeContributions(k, 0, querySamples, std::vector<float>(140, 2.0f).data());
    const std::string o = "model.layers.0.self_attn.o_proj.weight";
    w.declareFactors(o, 3, 6, 10, DType::f16);
    const std::vector<std::int32_t> lengths{3, 2, 1, 0, 3, 2, 1};
    w.writeFactors(o, 0, querySamples, 3, randoms(7 * 3 * 6, 1).data(),
                   randoms(7 * 3 * 10, 2).data(), lengths.data());
    FisherSet set;
    set.name = "structural";
    set.estimator = "ema";
    set.samples = querySamples;
    w.writeFisher(set, {query, {queryRows, queryColumns}, Resolution::element, false},
                  std::vector<double>(60, 0.5));
    w.writeFisher(set, {k, {1}, Resolution::head, false}, std::vector<double>{0.25});
    w.commit();
}

/// Opens for writing, changes, closes.
inline void change(const std::filesystem::path& file, const std::function<void(hid_t)>& edit) {
    const h5::Lock lock;
    const h5::Handle id(H5Fopen(file.c_str(), H5F_ACC_RDWR, H5P_DEFAULT), H5Fclose);
    if (!id) {
        throw std::runtime_error("can't open " + file.string());
    }
    edit(id.get());
}

struct Recipe {
    hid_t type = H5T_IEEE_F32LE;
    std::vector<hsize_t> chunk; ///< empty: contiguous
    bool gzip = false;
    bool compact = false;
    DType memory = DType::f32; ///< the type the values are handed over in
    h5::Dims dims = {querySamples, queryRows, queryColumns};
};

inline hid_t creationOf(const Recipe& recipe) {
    const hid_t creation = H5Pcreate(H5P_DATASET_CREATE);
    if (recipe.compact) {
        H5Pset_layout(creation, H5D_COMPACT);
    }
    if (!recipe.chunk.empty()) {
        H5Pset_chunk(creation, int(recipe.chunk.size()), recipe.chunk.data());
    }
    if (recipe.gzip) {
        H5Pset_shuffle(creation);
        H5Pset_deflate(creation, 4);
        H5Pset_fletcher32(creation);
    }
    return creation;
}

/// Replaces (or adds) a float dataset; values float32, converted by HDF5 (bfloat16: here).
inline void replace(hid_t file, const std::string& path, const Recipe& recipe,
                    const std::vector<float>& values) {
    if (H5Lexists(file, path.c_str(), H5P_DEFAULT) > 0) {
        H5Ldelete(file, path.c_str(), H5P_DEFAULT);
    }
    const std::vector<hsize_t> extent(recipe.dims.begin(), recipe.dims.end());
    const h5::Handle space(H5Screate_simple(int(extent.size()), extent.data(), nullptr), H5Sclose);
    const h5::Handle creation(creationOf(recipe), H5Pclose);
    const h5::Handle set(H5Dcreate2(file, path.c_str(), recipe.type, space.get(), H5P_DEFAULT,
                                    creation.get(), H5P_DEFAULT),
                         H5Dclose);
    if (recipe.memory == DType::bf16) {
        std::vector<std::uint16_t> bits(values.size());
        convertFromFloat(values.data(), values.size(), DType::bf16, bits.data());
        H5Dwrite(set.get(), H5T_NATIVE_UINT16, H5S_ALL, H5S_ALL, H5P_DEFAULT, bits.data());
        const h5::Handle type(H5Tcopy(H5T_C_S1), H5Tclose);
        H5Tset_size(type.get(), 8);
        const h5::Handle scalar(H5Screate(H5S_SCALAR), H5Sclose);
        const h5::Handle attribute(
            H5Acreate2(set.get(), "dtype", type.get(), scalar.get(), H5P_DEFAULT, H5P_DEFAULT),
            H5Aclose);
        H5Awrite(attribute.get(), type.get(), "bfloat16");
        return;
    }
    H5Dwrite(set.get(), H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data());
}

} // namespace fixture
