// CUDA as a loop: what kernels.cu needs to be compiled by g++ and run on the CPU.
// Threads of a block run one after the other; in kernels that wait for each other, as threads with a barrier.
#pragma once
#include <atomic>
#include <barrier>
#include <cmath>
#include <cstring>
#include <thread>
#include <utility>
#include <vector>

#define ON_HOST
#define __global__
#define __device__
#define __shared__ static

struct Index { unsigned x, y, z; };
static thread_local Index threadIdx, blockIdx;
static Index blockDim;
static std::barrier<>* block_barrier;

inline void __syncthreads() { block_barrier->arrive_and_wait(); }

inline unsigned atomicAdd(unsigned* at, unsigned value) { return std::atomic_ref<unsigned>(*at).fetch_add(value); }

inline unsigned long long atomicMax(unsigned long long* at, unsigned long long value) {
    std::atomic_ref<unsigned long long> shared(*at);
    unsigned long long seen = shared.load();
    while (seen < value && !shared.compare_exchange_weak(seen, value)) {}
    return seen;
}

inline float half_to_float(unsigned short bits) {
    _Float16 value;
    std::memcpy(&value, &bits, 2);
    return value;
}

inline unsigned short float_to_half(float value) {
    _Float16 rounded = value;
    unsigned short bits;
    std::memcpy(&bits, &rounded, 2);
    return bits;
}

// Calls a kernel with arguments as the driver takes them: an array of their addresses.
template <class... A, size_t... I>
void call(void (*kernel)(A...), void** arguments, std::index_sequence<I...>) {
    kernel(*static_cast<A*>(arguments[I])...);
}

template <class... A>
void launch(void (*kernel)(A...), const unsigned* sizes, void** arguments, bool together) {
    blockDim = {sizes[3], sizes[4], sizes[5]};
    unsigned threads = sizes[3] * sizes[4] * sizes[5];
    auto run = [=](Index block, unsigned i) {
        blockIdx = block;
        threadIdx = {i % sizes[3], i / sizes[3] % sizes[4], i / (sizes[3] * sizes[4])};
        call(kernel, arguments, std::index_sequence_for<A...>());
    };
    for (unsigned z = 0; z < sizes[2]; z++)
        for (unsigned y = 0; y < sizes[1]; y++)
            for (unsigned x = 0; x < sizes[0]; x++) {
                if (!together) {
                    for (unsigned i = 0; i < threads; i++) run({x, y, z}, i);
                    continue;
                }
                std::barrier<> barrier(threads);
                block_barrier = &barrier;
                std::vector<std::thread> block;
                for (unsigned i = 0; i < threads; i++) block.emplace_back(run, Index{x, y, z}, i);
                for (auto& thread : block) thread.join();
            }
}
