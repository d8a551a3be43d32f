// SPDX-License-Identifier: GPL-3.0-or-later
// The capture's CUDA kernels: checked against float64 on random shapes, and timed on a
// GPT-2-small's.
//
// bench_products [cases]
#include "collect/cuda/Kernels.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cuda_fp16.h>
#include <functional>
#include <random>
#include <vector>

using namespace qkov::collect::cuda;

namespace {

/// Of an error beside the sum of the terms' magnitudes.
constexpr double tolerance = 5e-7;

template <class T>
class Array {
  public:
    explicit Array(std::int64_t n)
        : m_size(n) {
        if (cudaMalloc(&m_data, std::max<std::int64_t>(1, n) * sizeof(T)) != cudaSuccess) {
            std::fprintf(stderr, "no memory\n");
            std::exit(1);
        }
    }
    ~Array() { cudaFree(m_data); }
    Array(const Array&) = delete;
    Array& operator=(const Array&) = delete;
    T* get() const { return m_data; }
    std::vector<T> host() const {
        std::vector<T> values(static_cast<std::size_t>(m_size));
        if (cudaMemcpy(values.data(), m_data, values.size() * sizeof(T), cudaMemcpyDefault) !=
            cudaSuccess) {
            std::printf("failed: %s\n", cudaGetErrorString(cudaGetLastError()));
            std::exit(1);
        }
        return values;
    }
    void set(const std::vector<T>& values) {
        cudaMemcpy(m_data, values.data(), values.size() * sizeof(T), cudaMemcpyDefault);
    }
    std::int64_t size() const { return m_size; }

  private:
    T* m_data = nullptr;
    std::int64_t m_size;
};

__device__ float noise(std::uint64_t i, std::uint32_t seed) {
    std::uint64_t x = i * 0x9E3779B97F4A7C15ull + seed;
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9ull;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBull;
    x ^= x >> 31;
    return static_cast<float>(static_cast<std::int32_t>(x >> 32)) * 0x1p-31f;
}

__global__ void fillFloat(float* to, std::int64_t n, std::int64_t stride, std::uint32_t seed) {
    const std::int64_t i = std::int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
    if (i < n) { // rows of very different size
        to[i] = noise(i, seed) * exp2f(20 * noise(i / stride, seed + 1));
    }
}

__global__ void fillHalf(__half* high, __half* low, std::int64_t n, std::uint32_t seed) {
    const std::int64_t i = std::int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
    if (i < n) {
        const float v = noise(i, seed) * 16384;
        high[i] = __float2half(v);
        if (low != nullptr) {
            low[i] = __float2half(v - __half2float(high[i]));
        }
    }
}

/// @param out [rows, columns] results, then as many sums of magnitudes
__global__ void reference(SplitProduct p, double* out) {
    const std::int64_t n = std::int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
    const std::int64_t r = blockIdx.y;
    if (n >= p.columns) {
        return;
    }
    double sum = 0, magnitudes = 0;
    for (std::int64_t k = 0; k < p.depth; ++k) {
        const std::int64_t at = k * p.wDepthStride + n * p.wColumnStride;
        double w = __half2float(static_cast<const __half*>(p.high)[at]);
        if (p.low != nullptr) {
            w += __half2float(static_cast<const __half*>(p.low)[at]);
        }
        const double term = double(p.x[r * p.xStride + k]) * w * p.factor;
        sum += term;
        magnitudes += fabs(term);
    }
    const double bias = p.bias != nullptr ? p.bias[n] : 0;
    out[r * p.columns + n] = sum + bias;
    out[(p.rows + r) * p.columns + n] = magnitudes + fabs(bias);
}

double milliseconds(const std::function<void()>& body) {
    cudaEvent_t begin, end;
    cudaEventCreate(&begin);
    cudaEventCreate(&end);
    body();
    std::vector<float> times;
    for (int i = 0; i < 5; ++i) {
        cudaEventRecord(begin);
        body();
        cudaEventRecord(end);
        cudaEventSynchronize(end);
        float ms = 0;
        cudaEventElapsedTime(&ms, begin, end);
        times.push_back(ms);
    }
    std::sort(times.begin(), times.end());
    return times[2];
}

struct Shape {
    std::int64_t rows, depth, columns;
    bool across, low, bias;
};

/// Runs one product; with `checked` compares it, else times it. Returns the worst error or ms.
double product(const Shape& s, std::uint32_t seed, bool checked) {
    SplitProduct p;
    p.rows = s.rows;
    p.depth = s.depth;
    p.columns = s.columns;
    p.xStride = (s.depth + 3) / 4 * 4;
    p.outStride = (s.columns + 3) / 4 * 4;
    const std::int64_t inner = s.across ? s.columns : s.depth;
    const std::int64_t stride = (inner + 7) / 8 * 8;
    const std::int64_t numbers = stride * (s.across ? s.depth : s.columns);
    p.wDepthStride = s.across ? stride : 1;
    p.wColumnStride = s.across ? 1 : stride;
    Array<float> x(p.rows * p.xStride), out(p.rows * p.outStride), bias(s.columns), scale(s.rows),
        back(s.rows);
    Array<__half> high(numbers), low(s.low ? numbers : 1);
    const auto blocks = [](std::int64_t n) { return static_cast<unsigned>((n + 255) / 256); };
    fillFloat<<<blocks(x.size()), 256>>>(x.get(), x.size(), p.xStride, seed);
    fillFloat<<<blocks(bias.size()), 256>>>(bias.get(), bias.size(), bias.size(), seed + 5);
    fillHalf<<<blocks(numbers), 256>>>(high.get(), s.low ? low.get() : nullptr, numbers, seed + 9);
    cudaMemset(out.get(), 0xff, out.size() * sizeof(float)); // NaN
    p.x = x.get();
    p.scale = scale.get();
    p.back = back.get();
    p.high = high.get();
    p.low = s.low ? low.get() : nullptr;
    p.factor = 0x1p-14f;
    p.bias = s.bias ? bias.get() : nullptr;
    p.out = out.get();
    if (!fits(p)) {
        std::printf("refused\n");
        return 1;
    }
    Array<float> workspace(workspaceNumbers(p, 0));
    p.workspace = workspace.get();
    const Queue queue;
    rowScales(p.x, p.rows, p.depth, p.xStride, scale.get(), back.get(), queue);
    if (!checked) {
        return milliseconds([&] { splitProduct(p, queue); });
    }
    splitProduct(p, queue);
    Array<double> exact(2 * p.rows * p.columns);
    reference<<<dim3(blocks(p.columns), static_cast<unsigned>(p.rows)), 256>>>(p, exact.get());
    const std::vector<double> expected = exact.host();
    const std::vector<float> got = out.host();
    double worst = 0;
    for (std::int64_t r = 0; r < p.rows; ++r) {
        for (std::int64_t n = 0; n < p.columns; ++n) {
            const std::int64_t at = r * p.columns + n;
            const double ratio = std::abs(got[r * p.outStride + n] - expected[at]) /
                                 expected[p.rows * p.columns + at];
            worst = ratio <= worst ? worst : ratio; // NaN counts
        }
    }
    return worst;
}

double entropy(std::int64_t rows, std::int64_t columns, float scale, float cap, std::uint32_t seed,
               bool checked) {
    CrossEntropy work;
    work.rows = rows;
    work.columns = columns;
    work.stride = (columns + 3) / 4 * 4;
    Array<float> logits(rows * work.stride), losses(rows);
    Array<std::int64_t> targets(rows);
    fillFloat<<<static_cast<unsigned>((logits.size() + 255) / 256), 256>>>(
        logits.get(), logits.size(), work.stride, seed);
    std::mt19937 random(seed);
    std::vector<std::int64_t> target;
    for (std::int64_t r = 0; r < rows; ++r) {
        target.push_back(random() % columns);
    }
    targets.set(target);
    work.logits = logits.get();
    work.target = targets.get();
    work.loss = losses.get();
    work.scale = scale;
    work.cap = cap;
    if (!checked) {
        return milliseconds([&] { crossEntropy(work, {}); });
    }
    std::vector<float> before = logits.host();
    for (float& v : before) {
        v = std::max(-80.0f, std::min(80.0f, v));
    }
    logits.set(before);
    crossEntropy(work, {});
    const std::vector<float> gradients = logits.host(), loss = losses.host();
    double worst = 0;
    for (std::int64_t r = 0; r < rows; ++r) {
        const auto z = [&](std::int64_t n) {
            const double raw = double(before[r * work.stride + n]) * scale;
            return cap > 0 ? cap * std::tanh(raw / cap) : raw;
        };
        double sum = 0;
        for (std::int64_t n = 0; n < columns; ++n) {
            sum += std::exp(z(n));
        }
        const double expected = std::log(sum) - z(target[r]);
        double error = std::abs(loss[r] - expected) / std::max(1.0, std::abs(expected));
        for (std::int64_t n = 0; n < columns; ++n) {
            const double t = cap > 0 ? z(n) / cap : 0;
            const double g = (std::exp(z(n)) / sum - (n == target[r])) * (1 - t * t);
            const double d = std::abs(gradients[r * work.stride + n] - g);
            error = d <= error ? error : d;
        }
        worst = error <= worst ? worst : error;
    }
    return worst;
}

} // namespace

int main(int argc, char** argv) {
    if (!usable(0)) {
        std::fprintf(stderr, "needs a Hopper GPU\n");
        return 1;
    }
    const int cases = argc > 1 ? std::atoi(argv[1]) : 40;
    std::mt19937 random(7);
    int failures = 0;
    double worst = 0;
    for (int i = 0; i < cases; ++i) {
        const auto draw = [&](int most) { return std::int64_t(1 + random() % most); };
        const Shape s{draw(i % 3 ? 300 : 40), draw(i % 4 ? 700 : 6000), draw(i % 5 ? 500 : 40),
                      random() % 2 == 0,      random() % 3 == 0,        random() % 2 == 0};
        const double error = product(s, random(), true);
        worst = error <= worst ? worst : error;
        if (!(error <= tolerance)) {
            ++failures;
            std::printf("FAILED %lld x %lld x %lld across %d low %d bias %d: %.3g\n",
                        (long long)s.rows, (long long)s.depth, (long long)s.columns, s.across,
                        s.low, s.bias, error);
        }
    }
    std::printf("products: %d random cases, %d failures, worst %.2g of the terms\n", cases,
                failures, worst);
    for (const float cap : {0.0f, 30.0f}) {
        const double error = entropy(37, 5003, 0.5f, cap, 3, true);
        failures += !(error <= tolerance);
        std::printf("cross entropy, cap %.0f: worst %.2g\n", cap, error);
    }
    const std::int64_t R = 25600;
    for (const Shape& s :
         {Shape{R, 768, 2304, true, false, true}, Shape{R, 2304, 768, false, false, false},
          Shape{R, 768, 768, true, false, true}, Shape{R, 768, 768, false, false, false},
          Shape{R, 768, 3072, true, false, true}, Shape{R, 3072, 768, true, false, false},
          Shape{R, 3072, 768, false, false, true}, Shape{R, 768, 3072, false, true, true},
          Shape{8500, 768, 50257, false, false, false}, Shape{8500, 50257, 768, true, false, false},
          Shape{R, 4096, 4096, false, false, false}}) {
        const double ms = product(s, 1, false);
        std::printf("%lld x %lld x %lld %s%s: %.3f ms, %.0f TFLOP/s of float16\n",
                    (long long)s.rows, (long long)s.depth, (long long)s.columns,
                    s.across ? "across" : "along", s.low ? " low" : "", ms,
                    (s.low ? 6e-9 : 4e-9) * double(s.rows) * double(s.depth) * double(s.columns) /
                        ms);
    }
    std::printf("cross entropy 8500 x 50257: %.3f ms\n", entropy(8500, 50257, 1, 0, 1, false));
    return failures > 0;
}
