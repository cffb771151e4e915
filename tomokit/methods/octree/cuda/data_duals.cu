// The duals of the data: one image y for each view (tomokit/methods/octree/view_duals.py, where the formulas are from).
//
// With r - c the residual of a view at its best offset (leaf_rows.cu), m its mask, w its weight, s = sqrt(w m) and F
// the filter along u,
//
//     y' = y + s F s^-1 (w m (r - c) - y) - shift s F s
//
// where shift is such that sum y' = 0 in each view, or 0 where offsets are held. data_dual_pull puts what F acts on
// where the residual was; data_dual_filter writes s F of it, and sums; data_dual_shift; data_dual_step leaves the
// change y' - y where the residual was. Read and written: 16 bytes a pixel (r, m, y; r) by the first, 16 (r, m, y;
// moved) by the second, as neighbours along u are in the cache, and 20 (moved, m, y; r, y) by the last.
//
// Arrays of images: residual, moved and change [step, pixel] of the step's views, a pixel being u rows + row; dual and
// mask [t, pixel] of all, mask null where every pixel counts; weight [t]. `chosen` lists the views of the step. taps
// [REACH + 1]: the filter, 0 at even distances.
//
// Defines: REACH.

#define THREADS 256

#include "gpu/block_sums.cuh"

__device__ inline float root_of(const float* __restrict__ mask, long long at, float weight) {
    return sqrtf(mask == nullptr ? weight : weight * mask[at]);
}

// s F s at a pixel of a view whose images begin at `view`.
__device__ inline float spread_of(
    const float* __restrict__ mask, const float* __restrict__ taps, long long view, int pixel, int rows, int columns,
    float weight) {
    const int u = pixel / rows;
    const float root = root_of(mask, view + pixel, weight);
    float sum = taps[0] * root;
    for (int distance = 1; distance <= REACH; distance += 2) {
        const int away = distance * rows;
        if (u >= distance) sum += taps[distance] * root_of(mask, view + pixel - away, weight);
        if (u + distance < columns) sum += taps[distance] * root_of(mask, view + pixel + away, weight);
    }
    return root * sum;
}

// dual null: of a dual of 0, as the norm asks for. offset null: none. Grid: blocks of pixels, views.
extern "C" __global__ void __launch_bounds__(THREADS, 4) data_dual_pull(
    float* __restrict__ residual, const float* __restrict__ mask, const float* __restrict__ dual,
    const float* __restrict__ offset, const float* __restrict__ weight, const int* __restrict__ chosen, int pixels) {
    const int pixel = blockIdx.x * THREADS + threadIdx.x;
    if (pixel >= pixels) return;
    const long long at = (long long)chosen[blockIdx.y] * pixels + pixel, here = (long long)blockIdx.y * pixels + pixel;
    const float root = root_of(mask, at, weight[chosen[blockIdx.y]]);
    const float r = residual[here] - (offset == nullptr ? 0.0f : offset[blockIdx.y]);
    const float y = dual == nullptr ? 0.0f : dual[at];
    residual[here] = root > 0.0f ? (root * root * r - y) / root : 0.0f;
}

// moved: s F of the pull. partial [step, block, 2]: sums of y plus that, and of s F s; null where none are wanted. Grid
// as before.
extern "C" __global__ void __launch_bounds__(THREADS, 4) data_dual_filter(
    const float* __restrict__ pull, const float* __restrict__ mask, const float* __restrict__ dual,
    const float* __restrict__ weight, const int* __restrict__ chosen, const float* __restrict__ taps,
    float* __restrict__ moved, float* __restrict__ partial, int rows, int columns) {
    __shared__ float sums[THREADS];
    const int pixel = blockIdx.x * THREADS + threadIdx.x, pixels = rows * columns;
    const long long view = (long long)chosen[blockIdx.y] * pixels, here = (long long)blockIdx.y * pixels + pixel;
    float value = 0.0f, spread = 0.0f;
    if (pixel < pixels) {
        const int u = pixel / rows;
        const float w = weight[chosen[blockIdx.y]];
        float sum = taps[0] * pull[here];
        for (int distance = 1; distance <= REACH; distance += 2) {
            const int away = distance * rows;
            if (u >= distance) sum += taps[distance] * pull[here - away];
            if (u + distance < columns) sum += taps[distance] * pull[here + away];
        }
        sum *= root_of(mask, view + pixel, w);
        moved[here] = sum;
        if (partial != nullptr) {
            value = dual[view + pixel] + sum;
            spread = spread_of(mask, taps, view, pixel, rows, columns, w);
        }
    }
    if (partial == nullptr) return;
    const long long block = ((long long)blockIdx.y * gridDim.x + blockIdx.x) * 2;
    const float of_values = sum_of_block(value, sums);
    if (threadIdx.x == 0) partial[block] = of_values;
    __syncthreads();
    const float of_spreads = sum_of_block(spread, sums);
    if (threadIdx.x == 0) partial[block + 1] = of_spreads;
}

// shift [step] from the sums of its blocks; 0 of a view that is masked whole. Grid: views.
extern "C" __global__ void __launch_bounds__(THREADS, 4) data_dual_shift(
    const float* __restrict__ partial, float* __restrict__ shift, int blocks) {
    __shared__ double sums[THREADS];
    double value = 0.0, spread = 0.0;
    for (int block = threadIdx.x; block < blocks; block += THREADS) {
        const float* pair = partial + ((long long)blockIdx.x * blocks + block) * 2;
        value += (double)pair[0];
        spread += (double)pair[1];
    }
    const double values = sum_of_block(value, sums);
    __syncthreads();
    const double spreads = sum_of_block(spread, sums);
    if (threadIdx.x == 0) shift[blockIdx.x] = spreads > 0.0 ? (float)(values / spreads) : 0.0f;
}

// shift null where offsets are held. Grid as data_dual_pull.
extern "C" __global__ void __launch_bounds__(THREADS, 4) data_dual_step(
    float* __restrict__ residual, const float* __restrict__ moved, const float* __restrict__ mask,
    float* __restrict__ dual, const float* __restrict__ shift, const float* __restrict__ weight,
    const int* __restrict__ chosen, const float* __restrict__ taps, int rows, int columns) {
    const int pixel = blockIdx.x * THREADS + threadIdx.x, pixels = rows * columns;
    if (pixel >= pixels) return;
    const long long view = (long long)chosen[blockIdx.y] * pixels, here = (long long)blockIdx.y * pixels + pixel;
    float change = moved[here];
    if (shift != nullptr)
        change -= shift[blockIdx.y] * spread_of(mask, taps, view, pixel, rows, columns, weight[chosen[blockIdx.y]]);
    residual[here] = change;
    dual[view + pixel] += change;
}
