// Sums that a step leaves behind, kept on the device until the epoch is over:
//
//     totals[slot] += factor sum_i weight[i] sum_b partial[i, b],
//
// weight 1 where it is not given. In double precision and always in the same order, by one block.

#define THREADS 256

#include "sums.cuh"

extern "C" __global__ void __launch_bounds__(THREADS, 4) add_total(
    const float* __restrict__ partial, const float* __restrict__ weight, double* __restrict__ totals, double factor,
    int slot, int n, int per_entry) {
    __shared__ double sums[THREADS];
    double sum = 0.0;
    const long long size = (long long)n * per_entry;
    for (long long at = threadIdx.x; at < size; at += THREADS) {
        sum += weight == nullptr ? (double)partial[at] : (double)weight[at / per_entry] * (double)partial[at];
    }
    const double all = sum_of_block(sum, sums);
    if (threadIdx.x == 0) totals[slot] += factor * all;
}

// Sum of a whole array, by one block of partial sums for each `stride` values: to see whether all are finite numbers.
extern "C" __global__ void __launch_bounds__(THREADS, 4) sum_blocks(
    const float* __restrict__ values, float* __restrict__ partial, long long size, int stride) {
    __shared__ float sums[THREADS];
    const long long begin = (long long)blockIdx.x * stride, end = min(begin + stride, size);
    float sum = 0.0f;
    for (long long at = begin + threadIdx.x; at < end; at += THREADS) sum += values[at];
    const float all = sum_of_block(sum, sums);
    if (threadIdx.x == 0) partial[blockIdx.x] = all;
}
