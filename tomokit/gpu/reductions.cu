// Sums that a step leaves behind, kept on the device until the epoch is over:
//
//     totals[slot] += factor sum_b partial[b],
//
// in double precision and always in the same order, by one block of any power of two up to MOST_THREADS. All else waits
// for it: the more threads the better, and each asks for several values before it needs the first.

#define MOST_THREADS 1024
#define THREADS 256

#include "gpu/block_sums.cuh"

extern "C" __global__ void __launch_bounds__(MOST_THREADS, 1) add_total(
    const float* __restrict__ partial, double* __restrict__ totals, double factor, int slot, long long size) {
    __shared__ double sums[MOST_THREADS];
    double sum = 0.0;
    const int threads = blockDim.x;
#pragma unroll 8
    for (long long at = threadIdx.x; at < size; at += threads) sum += (double)partial[at];
    const double all = sum_of_block(sum, sums);
    if (threadIdx.x == 0) totals[slot] += factor * all;
}

// Sum of a whole array, or of its squares, one partial sum for each `stride` values and one block for each of these: a
// value that is not finite makes the sum so. To be finished by add_total. Grid: pieces of `stride` values.
extern "C" __global__ void __launch_bounds__(THREADS, 4) sum_blocks(
    const float* __restrict__ values, float* __restrict__ partial, long long size, int stride) {
    __shared__ float sums[THREADS];
    const long long begin = (long long)blockIdx.x * stride, end = min(begin + stride, size);
    float sum = 0.0f;
    for (long long at = begin + threadIdx.x; at < end; at += THREADS) sum += values[at];
    const float all = sum_of_block(sum, sums);
    if (threadIdx.x == 0) partial[blockIdx.x] = all;
}

extern "C" __global__ void __launch_bounds__(THREADS, 4) sum_squares(
    const float* __restrict__ values, float* __restrict__ partial, long long size, int stride) {
    __shared__ float sums[THREADS];
    const long long begin = (long long)blockIdx.x * stride, end = min(begin + stride, size);
    float sum = 0.0f;
    for (long long at = begin + threadIdx.x; at < end; at += THREADS) sum += values[at] * values[at];
    const float all = sum_of_block(sum, sums);
    if (threadIdx.x == 0) partial[blockIdx.x] = all;
}
