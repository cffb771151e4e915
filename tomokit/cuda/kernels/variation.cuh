// Total variation at one vertex of a leaf: what it adds to the sum, and the slope of the sum by its value
// (tomokit/regularizers/tv_kernel.py). With a, b, c the differences to the next vertex along x, z and y, zero beyond
// the last:
//
//     by axis (anisotropic, Huber)   c (d - c delta / 2) of each difference d, c = clip(d / delta, -1, 1) the slope;
//                                    anisotropic is the limit of a tiny delta
//     by length (isotropic, concave) s / (1 + s bend), s = sqrt(a^2 + b^2 + c^2); slope by each difference
//                                    d / (s (1 + s bend)^2), 0 where s is 0; bend is 0 or 1 / delta
//
// By length, bits 0, 1 and 2 of `turn` say whether the differences along x, z and y are to the vertex before, not to
// the next. A vertex is the far end of three differences and the near end of three, so that
// slope = sum over the neighbours behind it of theirs towards it, less its own three.
//
// Defines: N.

#define ANISOTROPIC 0
#define ISOTROPIC 1
#define HUBER 2
#define CONCAVE 3

struct Variation {
    float value, slope;
};

struct Differences {
    float a, b, c;
};

// Whether vertex i has another one `step` (1 or -1) away.
__device__ inline bool has_next(int i, int step) { return step > 0 ? i < N - 1 : i > 0; }

__device__ inline Differences differences_at(
    const float* __restrict__ block, int i, int k, int j, int x, int z, int y) {
    const int at = (i * N + k) * N + j;
    const float here = block[at];
    Differences d = {
        has_next(i, x) ? block[at + x * N * N] - here : 0.0f, has_next(k, z) ? block[at + z * N] - here : 0.0f,
        has_next(j, y) ? block[at + y] - here : 0.0f};
    return d;
}

__device__ inline float length_of(Differences d) { return sqrtf(d.a * d.a + d.b * d.b + d.c * d.c); }

__device__ inline float slope_per_length(Differences d, float bend) {
    const float s = length_of(d), flat = 1.0f / (1.0f + bend * s);
    return s > 0.0f ? flat * flat / fmaxf(s, 1e-30f) : 0.0f;
}

__device__ inline float clipped(float d, float steep) { return fminf(fmaxf(d * steep, -1.0f), 1.0f); }

__device__ inline Variation variation_at(
    const float* __restrict__ block, int i, int k, int j, int variant, float delta, int turn) {
    Variation found = {0.0f, 0.0f};
    if (variant == ANISOTROPIC || variant == HUBER) {
        const int at = (i * N + k) * N + j;
        const float here = block[at];
        const Differences d = differences_at(block, i, k, j, 1, 1, 1);
        const float size = variant == HUBER ? delta : 1e-30f, steep = 1.0f / size, half = 0.5f * size;
        const float a = clipped(d.a, steep), b = clipped(d.b, steep), c = clipped(d.c, steep);
        found.value = a * (d.a - a * half) + b * (d.b - b * half) + c * (d.c - c * half);
        found.slope = -(a + b + c);
        if (i > 0) found.slope += clipped(here - block[at - N * N], steep);
        if (k > 0) found.slope += clipped(here - block[at - N], steep);
        if (j > 0) found.slope += clipped(here - block[at - 1], steep);
        return found;
    }
    const int x = turn & 1 ? -1 : 1, z = turn & 2 ? -1 : 1, y = turn & 4 ? -1 : 1;
    const Differences d = differences_at(block, i, k, j, x, z, y);
    const float bend = variant == CONCAVE ? 1.0f / delta : 0.0f, s = length_of(d);
    found.value = s / (1.0f + bend * s);
    found.slope = -slope_per_length(d, bend) * (d.a + d.b + d.c);
    if (has_next(i, -x)) {
        const Differences other = differences_at(block, i - x, k, j, x, z, y);
        found.slope += slope_per_length(other, bend) * other.a;
    }
    if (has_next(k, -z)) {
        const Differences other = differences_at(block, i, k - z, j, x, z, y);
        found.slope += slope_per_length(other, bend) * other.b;
    }
    if (has_next(j, -y)) {
        const Differences other = differences_at(block, i, k, j - y, x, z, y);
        found.slope += slope_per_length(other, bend) * other.c;
    }
    return found;
}
