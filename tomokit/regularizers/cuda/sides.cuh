// The gradient that a vertex gets from its leaf's six sides, [side, a, b] as boundary.cu writes it; edges and corners
// get several.
//
// Defines: N.

__device__ inline float side_gradient_at(const float* __restrict__ side_gradient, int i, int k, int j) {
    const int plane = N * N;
    float sum = 0.0f;
    // Few columns lie on a side across x or z, and most warps see none of them.
    if (i == 0 || i == N - 1 || k == 0 || k == N - 1) {
        if (i == 0) sum += side_gradient[k * N + j];
        if (i == N - 1) sum += side_gradient[plane + k * N + j];
        if (k == 0) sum += side_gradient[2 * plane + i * N + j];
        if (k == N - 1) sum += side_gradient[3 * plane + i * N + j];
    }
    if (j == 0 || j == N - 1) sum += side_gradient[(j == 0 ? 4 : 5) * plane + i * N + k];
    return sum;
}
