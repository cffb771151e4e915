// The gradient of the cross-node constraint at one value.
//
// It answers a value by a function of that value alone, tabulated on a grid over the leaf's range: with c the row of
// `table` at the place of the value, t the part of a spacing beyond it, e = c0 + t (c1 + t (c2 + t c3)),
// e' = (c1 + t (2 c2 + 3 t c3)) / spacing, and G likewise from c4 .. c7 (tomokit/regularizers/cross_node_grid.py), it
// is sign(e) e' / N^3 + G.
//
// Defines: N. After fast_math.cuh.

// grid: lowest node and spacing; table: rows of eight.
__device__ inline float pair_slope(
    float value, const float* __restrict__ grid, const float* __restrict__ table, int bins) {
    const float inverse = quotient(1.0f, grid[1]);
    const float at = fmaxf((value - grid[0]) * inverse, 0.0f);
    // Rounding may put the range's ends a little beyond it; the clamps of `at` and t take them back.
    const int node = min((int)at, bins - 2);
    const float t = fminf(at - node, 1.0f);
    const float* c = table + 8 * node;
    const float e = c[0] + t * (c[1] + t * (c[2] + t * c[3]));
    const float slope = inverse / (N * N * N) * (c[1] + t * (2.0f * c[2] + t * 3.0f * c[3]));
    return c[4] + t * (c[5] + t * (c[6] + t * c[7])) + (e > 0.0f ? slope : (e < 0.0f ? -slope : 0.0f));
}
