// The sum of one value of each thread of a block, for its first thread: by halves, so always in the same order. `sums`
// is shared memory for as many numbers as the block has threads, a power of two.

template <typename Number>
__device__ inline Number sum_of_block(Number value, Number* sums) {
    const int thread = threadIdx.y * blockDim.x + threadIdx.x;
    sums[thread] = value;
    __syncthreads();
    for (int half = blockDim.x * blockDim.y / 2; half > 0; half /= 2) {
        if (thread < half) sums[thread] += sums[thread + half];
        __syncthreads();
    }
    return sums[0];
}
