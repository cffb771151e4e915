// Line integrals of a voxel grid and their transpose, both as gathers.
//
// volume [x, z, y], stack [tilt, u, y]. A voxel column (x, z) meets few detector columns u with weights that do not
// depend on y (box.cuh):
//
//     stack[t, u, :] = sum_{x, z} w_t(u - u_t(x, z)) volume[x, z, :],    u_t = x cos - z sin + offset,
//     volume[x, z, :] = sum_t sum_u w_t(u - u_t(x, z)) stack[t, u, :].
//
// Lanes run along y, so rows are read whole, and a weight is the same in all lanes: a warp computes the weights of
// CHUNK steps of its loop at a time, one lane each, and reads them from shared memory. Positions are taken in double
// precision, since in single a pixel a thousand columns out would be off by 1e-4.
//
// What limits both directions is reading rows, from L1 and from L2. So a warp owns a tile of neighbouring results and
// multiplies each row that it has read by the weights of all of them that the row may meet, and the tiles of a block
// lie side by side and read nearly the same rows.
//
// Forward. A warp owns TILE neighbouring detector columns of one view, 32 ROWS values along y. The loop runs over the
// outer axis, along which a voxel's u changes slowly (z below 45 degrees, x above). Along the inner axis voxels follow
// each other at u-distances of m = max(c, s), between 0.7 and 1: counted in the direction of u from the first that
// column 0 meets, column i meets none before i, and none from i / m + (1 + c + s) / m on. So voxels i, ..., i + 4, a
// band of BAND, hold all of column i, and SLOTS = 8 voxels those of four columns; views nearer to an axis need fewer of
// them, at most (4 + c + s) / m + 1. Steps at which a tile's rays are outside of the volume are left out. A block has
// U_WARPS such tiles of each of VIEW_WARPS views.
//
// Adjoint. A warp owns 2 x 2 voxel columns. The loop runs over views; each meets at most floor(1 + 2 (c + s)) + 1 = 4
// detector columns. A block has SIDE x SIDE such tiles.
//
// Every value is written by one thread, which adds in the order of the loop: the same bits at each run.
//
// Defines: WIDE (voxel_rows.cuh).

#define LANES 32
#define CHUNK 8
#define TILE 4
#define SLOTS 8
#define BAND 5
#define KEPT 20
#define U_WARPS 8
#define VIEW_WARPS 4
#define SIDE 4
#define NONE 0xffffffffu

#include "projector/cuda/box.cuh"
#include "projector/cuda/voxel_rows.cuh"

// How a tile's rays run through the volume: what is the same at all steps of a warp's loop. n_in and row_in are the
// inner axis' length and its voxels' distance in rows, begin and end the steps along the outer one, direction the sign
// of
// step_in, and lengths are in pixels on the detector but span, in voxels.
struct Traversal {
    double start, step_in, step_out, inverse, span;
    Box box;
    unsigned n_in;
    int begin, end, row_in, row_out, direction;
};

// Where the weight of slot k and column i is kept, of those pairs that may meet: slot after slot, without gaps. The
// constant holds, four bits a slot, where its weights begin less its first column.
__device__ inline int weight_at(int k, int i) { return (int)(0xfeb96310u >> 4 * k & 15u) + i; }

struct Forward {
    float weight[U_WARPS * VIEW_WARPS][CHUNK][KEPT];
    unsigned row[U_WARPS * VIEW_WARPS][CHUNK][SLOTS];
    Traversal traversal[U_WARPS * VIEW_WARPS];
};

__device__ inline Traversal traversal_of(const double* __restrict__ view, int u0, int n_x, int n_z) {
    Traversal traversal;
    const double cosine = view[0], sine = view[1];
    const bool along_x = fabs(cosine) >= fabs(sine);
    const int n_in = along_x ? n_x : n_z, n_out = along_x ? n_z : n_x;
    traversal.n_in = n_in;
    traversal.row_in = along_x ? n_z : 1;
    traversal.row_out = along_x ? 1 : n_z;
    traversal.step_in = along_x ? cosine : -sine;
    traversal.step_out = along_x ? -sine : cosine;
    traversal.inverse = 1.0 / traversal.step_in;
    traversal.span = view[3] * fabs(traversal.inverse);
    traversal.box = box_of(view);
    // Where voxels follow each other against u, so do the columns.
    traversal.direction = traversal.step_in < 0.0 ? -1 : 1;
    // How far column 0 lies from the centre of voxel 0 along the inner axis, on the outer axis' first.
    traversal.start = (traversal.direction < 0 ? u0 + TILE - 1 : u0) - view[2] +
                      0.5 * (n_out - 1) * traversal.step_out +
                   0.5 * (n_in - 1) * traversal.step_in;
    // Column 0 is seen at voxel `place` + out `slope`; at either end a step more, lest rounding lose one.
    const double place = traversal.start * traversal.inverse, slope = -traversal.step_out * traversal.inverse;
    const double low = -traversal.span - (TILE - 1) * fabs(traversal.inverse) - place;
    const double high = n_in - 1 + traversal.span - place;
    const bool oblique = fabs(slope) > 1e-9;
    traversal.begin = oblique ? (int)fmin(fmax(fmin(low / slope, high / slope) - 1.0, 0.0), (double)n_out) : 0;
    traversal.end = oblique ? (int)fmin(fmax(fmax(low / slope, high / slope) + 2.0, 0.0), (double)n_out) : n_out;
    return traversal;
}

// Grid: blocks of u, of views, of y.
extern "C" __global__ void __launch_bounds__(LANES* U_WARPS* VIEW_WARPS, 1) voxel_project(
    const float* __restrict__ volume, const double* __restrict__ views, float* __restrict__ stack,
    int n_views, int n_x, int n_z, int n_y, int n_u) {
    __shared__ __align__(16) Forward shared;
    const int warp = threadIdx.y, lane = threadIdx.x;
    const int t = blockIdx.y * VIEW_WARPS + warp / U_WARPS, u0 = (blockIdx.x * U_WARPS + warp % U_WARPS) * TILE;
    const bool works = t < n_views && u0 < n_u;
    const Traversal& traversal = shared.traversal[warp];
    if (lane == 0 && works) shared.traversal[warp] = traversal_of(views + 8 * (long long)t, u0, n_x, n_z);
    __syncwarp();
    const int slots = works ? (int)(2.0 * traversal.span + (TILE - 1) * fabs(traversal.inverse)) + 1 : 0;
    const int first_out = works ? traversal.begin : 0, end_out = works ? traversal.end : 0;
    const Places places = places_of(n_y);
    const float* rows = volume + places.first;
    float sum[TILE][ROWS] = {};
    for (int begin = 0; begin < max(n_x, n_z); begin += CHUNK) {
        // Keeps the warps of a block together: they read the same rows, which are to be in L1 still.
        __syncthreads();
        if (begin < end_out && begin + CHUNK > first_out) {
            const int step = lane / TILE, own = lane % TILE, out = begin + step;
            const Traversal found = traversal;
            const double d = found.start - out * found.step_out;
            const int first = (int)ceil(d * found.inverse - found.span) + own;
            const float away = (float)(d + found.direction * own - first * found.step_in), apart = (float)found.step_in;
            const int outer = min(out, end_out - 1) * found.row_out;
#pragma unroll
            for (int k = 0; k < BAND; ++k) {
                const bool counts = (unsigned)(first + k) < found.n_in;
                // Column 2 is the first that a fifth voxel may belong to.
                if (k < BAND - 1 || own > 1) {
                    const float weight = box_weight(away - k * apart, found.box, counts);
                    shared.weight[warp][step][weight_at(own + k, own)] = weight;
                }
            }
#pragma unroll
            for (int k = 0; k < SLOTS; k += TILE) {
                shared.row[warp][step][own + k] = min(max(first + k, 0), (int)found.n_in - 1) * found.row_in + outer;
            }
        }
        __syncwarp();
        const int end = min(CHUNK, end_out - begin);
        for (int step = max(first_out - begin, 0); step < end; ++step) {
#pragma unroll
            for (int k = 0; k < SLOTS; ++k) {
                if (k > BAND && k >= slots) break;
                float value[ROWS];
                load_row(value, row_at(rows, shared.row[warp][step][k], 4 * n_y), places);
#pragma unroll
                for (int i = 0; i < TILE; ++i) {
                    // Known when compiled, so that only the products of the band are left.
                    if (k >= i && k < i + (i < 2 ? BAND - 1 : BAND)) {
                        add_row(sum[i], shared.weight[warp][step][weight_at(k, i)], value);
                    }
                }
            }
        }
        __syncwarp();
    }
    if (!works) return;
#pragma unroll
    for (int i = 0; i < TILE; ++i) {
        const int u = traversal.direction < 0 ? u0 + TILE - 1 - i : u0 + i;
        if (u < n_u) store_row(stack + ((long long)t * n_u + u) * n_y, sum[i], n_y);
    }
}

struct Adjoint {
    float weight[SIDE * SIDE][CHUNK][4][4];
    unsigned row[SIDE * SIDE][CHUNK][4];
};

// Grid: blocks of x, of z, of y.
extern "C" __global__ void __launch_bounds__(LANES* SIDE* SIDE, 2) voxel_backproject(
    const float* __restrict__ stack, const double* __restrict__ views, float* __restrict__ volume,
    int n_views, int n_x, int n_z, int n_y, int n_u) {
    __shared__ __align__(16) Adjoint shared;
    const int warp = threadIdx.y, lane = threadIdx.x, own = lane % 4;
    const int x0 = (blockIdx.x * SIDE + warp % SIDE) * 2, z0 = (blockIdx.y * SIDE + warp / SIDE) * 2;
    const Places places = places_of(n_y);
    const float* rows = stack + places.first;
    float sum[4][ROWS] = {};
    for (int begin = 0; begin < n_views; begin += CHUNK) {
        __syncthreads();
        const int end = min(CHUNK, n_views - begin), step = lane / 4, t = begin + step;
        if (t < n_views) {
            const double* view = views + 8 * (long long)t;
            const double cosine = view[0], sine = view[1];
            const Box box = box_of(view);
            const double corner = (x0 - 0.5 * (n_x - 1)) * cosine - (z0 - 0.5 * (n_z - 1)) * sine + view[2];
            const int first = (int)floor(corner + fmin(cosine, 0.0) + fmin(-sine, 0.0) - view[3]) + 1;
            const float away = (float)(first - 0.5 - (corner + own % 2 * cosine - own / 2 * sine));
            float below = box_integral(away, box);
#pragma unroll
            for (int k = 0; k < 4; ++k) {
                const float above = box_integral(away + (k + 1), box);
                const float height = (unsigned)(first + k) < (unsigned)n_u ? box.height : 0.0f;
                shared.weight[warp][step][k][own] = height * (above - below);
                below = above;
            }
            // More than a third of the tiles meet no fourth column: its row, marked NONE, is not even read.
            const double last = corner + fmax(cosine, 0.0) + fmax(-sine, 0.0) + view[3];
            const bool met = own < 3 || last > first + 3;
            shared.row[warp][step][own] = met ? t * n_u + min(max(first + own, 0), n_u - 1) : NONE;
        }
        __syncwarp();
        for (int c = 0; c < end; ++c) {
#pragma unroll (WIDE ? 4 : 2)
            for (int k = 0; k < 4; ++k) {
                const unsigned row = shared.row[warp][c][k];
                if (k == 3 && row == NONE) break;
                float value[ROWS];
                load_row(value, row_at(rows, row, 4 * n_y), places);
#pragma unroll
                for (int i = 0; i < 4; ++i) add_row(sum[i], shared.weight[warp][c][k][i], value);
            }
        }
        __syncwarp();
    }
#pragma unroll
    for (int i = 0; i < 4; ++i) {
        const int x = x0 + i % 2, z = z0 + i / 2;
        if (x < n_x && z < n_z) store_row(volume + ((long long)x * n_z + z) * n_y, sum[i], n_y);
    }
}

// Moves each view along y by its own shift, rows shared linearly: out[y] = (1 - f) in[y - w] + f in[y - w - 1] with the
// whole part w and the fraction f of the shift; what lies outside counts as zero. Grid: blocks of y, u, views.
extern "C" __global__ void shift_rows(
    const float* __restrict__ stack, const int* __restrict__ whole, const float* __restrict__ fraction,
    float* __restrict__ shifted, int n_u, int n_in, int n_out) {
    const int y = blockIdx.x * blockDim.x + threadIdx.x;
    if (y >= n_out) return;
    const int t = blockIdx.z;
    const long long row = (long long)t * n_u + blockIdx.y;
    const int upper = y - whole[t], lower = upper - 1;
    float value = 0.0f;
    if (upper >= 0 && upper < n_in) value += (1.0f - fraction[t]) * stack[row * n_in + upper];
    if (lower >= 0 && lower < n_in) value += fraction[t] * stack[row * n_in + lower];
    shifted[row * n_out + y] = value;
}
