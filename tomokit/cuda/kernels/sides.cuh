// What a vertex gets from the pull on its leaf's six sides, [side, a, b] as boundary.cu writes it; edges and corners
// get several.
//
// Defines: N.

__device__ inline float side_pull(const float* __restrict__ pull, int i, int k, int j) {
    const int plane = N * N;
    float sum = 0.0f;
    if (i == 0) sum += pull[k * N + j];
    if (i == N - 1) sum += pull[plane + k * N + j];
    if (k == 0) sum += pull[2 * plane + i * N + j];
    if (k == N - 1) sum += pull[3 * plane + i * N + j];
    if (j == 0) sum += pull[4 * plane + i * N + k];
    if (j == N - 1) sum += pull[5 * plane + i * N + k];
    return sum;
}
