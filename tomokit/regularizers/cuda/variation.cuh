// Total variation at one vertex of a leaf: what it adds to the sum, and the slope of the sum by its value
// (tomokit/regularizers/tv_kernel.py). With a, b, c the differences to the next vertex along x, z and y, zero beyond
// the last:
//
//     by axis (anisotropic, Huber)   c (d - c delta / 2) of each difference d, c = clip(d / delta, -1, 1) the slope;
//                                    anisotropic is the limit of a tiny delta
//     by length (isotropic, concave) s / (1 + s bend), s = sqrt(a^2 + b^2 + c^2); slope by each difference
//                                    d / (s (1 + s bend)^2), 0 where s is 0; bend is 0 or 1 / delta
//
// By length, bits 0, 1 and 2 of `stencil` say whether the differences along x, z and y are to the vertex before, not to
// the next. A vertex is the far end of three differences and the near end of three, so that
// slope = sum over the neighbours behind it of theirs towards it, less its own three.
//
// Defines: N. After fast_math.cuh.

#define ANISOTROPIC 0
#define ISOTROPIC 1
#define HUBER 2
#define CONCAVE 3

struct Variation {
    float value, slope;
};

// What is the same at all vertices: steps to the vertices that differences are to, 1 or -1, and of the numbers above
// half = delta / 2, steep = 1 / delta, and bend.
struct Measure {
    bool by_axis;
    int x, z, y;
    float half, steep, bend;
};

struct Differences {
    float a, b, c;
};

__device__ inline Measure measure_of(int variant, float delta, int stencil) {
    const bool by_axis = variant == ANISOTROPIC || variant == HUBER;
    // 1e-30 is the tiny delta of the anisotropic penalty: its inverse is finite in single precision.
    const float size = variant == HUBER ? delta : 1e-30f;
    Measure measure = {
        by_axis, !by_axis && (stencil & 1) ? -1 : 1, !by_axis && (stencil & 2) ? -1 : 1,
        !by_axis && (stencil & 4) ? -1 : 1,
        0.5f * size, 1.0f / size, variant == CONCAVE ? 1.0f / delta : 0.0f};
    return measure;
}

// The step to the vertex beside vertex i; none where there is none, so that a difference along it is zero.
__device__ inline int beside(int i, int step) { return (unsigned)(i + step) < N ? step : 0; }

// To the vertices so many places on.
__device__ inline Differences differences_at(const float* __restrict__ here, int x, int z, int y) {
    const float value = *here;
    Differences d = {here[x] - value, here[z] - value, here[y] - value};
    return d;
}

__device__ inline float square_of(Differences d) { return d.a * d.a + d.b * d.b + d.c * d.c; }

// Slope of the penalty by each difference, over the difference. Where the squares sum to less than 1e-37 it is that
// of 1e-37 (inverse_root): finite, and times differences of zero it is zero.
__device__ inline float slope_per_length(Differences d, float bend) {
    const float square = square_of(d), inverse = inverse_root(square);
    const float flat = quotient(1.0f, 1.0f + bend * (square * inverse));
    return flat * flat * inverse;
}

__device__ inline float clipped(float d, float steep) { return fminf(fmaxf(d * steep, -1.0f), 1.0f); }

__device__ inline Variation variation_at(const float* __restrict__ block, int i, int k, int j, const Measure& measure) {
    Variation found;
    const float* here = block + ((i * N + k) * N + j);
    const int x = beside(i, measure.x) * (N * N), z = beside(k, measure.z) * N, y = beside(j, measure.y);
    const int before_x = beside(i, -measure.x) * (N * N), before_z = beside(k, -measure.z) * N;
    const int before_y = beside(j, -measure.y);
    const Differences d = differences_at(here, x, z, y);
    // As the near end of its own three differences the vertex gets their slopes with a minus, as the far end of those
    // of the vertices before it with a plus. There those have to be computed again: nobody else's result is read.
    if (measure.by_axis) {
        const float value = *here, steep = measure.steep, half = measure.half;
        const float a = clipped(d.a, steep), b = clipped(d.b, steep), c = clipped(d.c, steep);
        found.value = a * (d.a - a * half) + b * (d.b - b * half) + c * (d.c - c * half);
        found.slope = -(a + b + c);
        found.slope += clipped(value - here[before_x], steep);
        found.slope += clipped(value - here[before_z], steep);
        found.slope += clipped(value - here[before_y], steep);
        return found;
    }
    const float bend = measure.bend, s = root_of(square_of(d));
    found.value = quotient(s, 1.0f + bend * s);
    found.slope = -slope_per_length(d, bend) * (d.a + d.b + d.c);
    // By length, the slope towards this vertex depends on all three differences of the one behind. Where there is none
    // behind, this one stands for it, and the difference that is asked for is zero.
    const Differences by_x = differences_at(here + before_x, -before_x, z, y);
    found.slope += slope_per_length(by_x, bend) * by_x.a;
    const Differences by_z = differences_at(here + before_z, x, -before_z, y);
    found.slope += slope_per_length(by_z, bend) * by_z.b;
    const Differences by_y = differences_at(here + before_y, x, z, -before_y);
    found.slope += slope_per_length(by_y, bend) * by_y.c;
    return found;
}
