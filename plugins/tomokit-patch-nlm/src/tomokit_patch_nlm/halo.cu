// Leaves' blocks with their surroundings, and the gradient by these handed back (halo.py): the same on a GPU, a thread
// for each vertex.
//
// take_blocks continues a leaf's lattice by MARGIN vertices beyond its faces, from whichever leaf is there, trilinearly
// where that is of another size. hand_back is its transpose,
//
//     gradient[v] += sum over lattice points r, of any leaf, that were taken from v, of weight * slope[r],
//
// as a gather by the vertex v: nothing is added to by two threads, and sums have a fixed order.
//
// Positions are whole numbers, in units of finest cubes over (N - 1): no rounding moves a vertex off a face. Those of a
// block's lattice are cube (N - 1) + (i - MARGIN) cubes along each axis.
//
// Defines: N, vertices along a leaf's edge; MARGIN. A block is THREADS threads.

#define THREADS 256
#define Q (N + 2 * MARGIN)

__device__ inline int floor_divide(int a, int b) { return a >= 0 ? a / b : -((b - 1 - a) / b); }

// The finest cube in which a vertex of a block's lattice is looked for, `at` vertices from the leaf's lower face.
// Beyond the upper face the cube above is meant, at a face itself the nearer one.
__device__ inline int cell_of(int position, int at) {
    const int cell = floor_divide(position, N - 1);
    return at > 0 && cell * (N - 1) == position ? cell - 1 : cell;
}

__device__ inline int owner_of(
    const int* __restrict__ owner, int x, int z, int y, int size_x, int size_z, int size_y) {
    const bool inside = x >= 0 && x < size_x && z >= 0 && z < size_z && y >= 0 && y < size_y;
    return inside ? owner[((long long)x * size_z + z) * size_y + y] : -1;
}

__device__ inline bool is_own(int x, int z, int y) {
    return x >= MARGIN && x < MARGIN + N && z >= MARGIN && z < MARGIN + N && y >= MARGIN && y < MARGIN + N;
}

// blocks [batch, Q, Q, Q]: values of leaves[begin ..] with their surroundings, and present: 1, or 0 where no leaf is.
// Grid: vertices of a block, batch.
extern "C" __global__ void __launch_bounds__(THREADS, 4) take_blocks(
    const float* __restrict__ values, const int* __restrict__ owner, const int* __restrict__ cube,
    const int* __restrict__ cubes, const int* __restrict__ leaves, float* __restrict__ blocks,
    float* __restrict__ present, int begin, int size_x, int size_z, int size_y) {
    const int inside = blockIdx.x * THREADS + threadIdx.x;
    if (inside >= Q * Q * Q) return;
    const int x = inside / (Q * Q), z = inside / Q % Q, y = inside % Q;
    const int leaf = leaves[begin + blockIdx.y], own = cubes[leaf];
    const long long at = (long long)blockIdx.y * (Q * Q * Q) + inside;
    int other = leaf;
    const int px = cube[3 * leaf] * (N - 1) + (x - MARGIN) * own;
    const int pz = cube[3 * leaf + 1] * (N - 1) + (z - MARGIN) * own;
    const int py = cube[3 * leaf + 2] * (N - 1) + (y - MARGIN) * own;
    if (!is_own(x, z, y)) {
        other = owner_of(owner, cell_of(px, x - MARGIN), cell_of(pz, z - MARGIN), cell_of(py, y - MARGIN), size_x,
                         size_z, size_y);
    }
    present[at] = other < 0 ? 0.0f : 1.0f;
    if (other < 0) {
        blocks[at] = 0.0f;
        return;
    }
    const int size = cubes[other];
    const float* u = values + (long long)other * (N * N * N);
    const int a = px - cube[3 * other] * (N - 1), b = pz - cube[3 * other + 1] * (N - 1),
              c = py - cube[3 * other + 2] * (N - 1);
    if (size == own) {
        blocks[at] = u[(a / own * N + b / own) * N + c / own];
        return;
    }
    const int i = min(a / size, N - 2), k = min(b / size, N - 2), j = min(c / size, N - 2);
    const float f = (float)(a - i * size) / size, g = (float)(b - k * size) / size, h = (float)(c - j * size) / size;
    float total = 0.0f;
    for (int corner = 0; corner < 8; ++corner) {
        const int upper_x = corner >> 2, upper_z = corner >> 1 & 1, upper_y = corner & 1;
        const float weight = (upper_x ? f : 1.0f - f) * (upper_z ? g : 1.0f - g) * (upper_y ? h : 1.0f - h);
        if (weight > 0.0f) total += weight * u[((i + upper_x) * N + k + upper_z) * N + j + upper_y];
    }
    blocks[at] = total;
}

// Which lattice points of a block, along one axis, lie within a spacing of a position; first > last if none does.
__device__ inline void points_about(int position, int size, int start, int own, int& first, int& last) {
    first = max(floor_divide(position - size - start, own) + 1, 0);
    last = min(-floor_divide(start - position - size, own) - 1, Q - 1);
}

// gradient [leaf, N, N, N] += the slopes of a batch of leaves, from leaves[begin] on, where they were taken from.
// targets [.., 3]: a leaf that some of their blocks extend into, its own included, and where these begin and end
// in `source`, which has their places in `leaves`. Grid: vertices of a leaf, targets.
extern "C" __global__ void __launch_bounds__(THREADS, 4) hand_back(
    const float* __restrict__ slopes, const int* __restrict__ owner, const int* __restrict__ cube,
    const int* __restrict__ cubes, const int* __restrict__ leaves, const int* __restrict__ targets,
    const int* __restrict__ source, float* __restrict__ gradient, int begin, int size_x, int size_z, int size_y) {
    const int inside = blockIdx.x * THREADS + threadIdx.x, leaf = targets[3 * blockIdx.y];
    if (inside >= N * N * N) return;
    const int x = inside / (N * N), z = inside / N % N, y = inside % N, size = cubes[leaf];
    const int px = cube[3 * leaf] * (N - 1) + x * size, pz = cube[3 * leaf + 1] * (N - 1) + z * size,
              py = cube[3 * leaf + 2] * (N - 1) + y * size;
    float sum = 0.0f;
    for (int entry = targets[3 * blockIdx.y + 1]; entry < targets[3 * blockIdx.y + 2]; ++entry) {
        const int place = source[entry], other = leaves[place], own = cubes[other];
        const float* slope = slopes + (long long)(place - begin) * (Q * Q * Q);
        if (other == leaf) {
            sum += slope[((x + MARGIN) * Q + z + MARGIN) * Q + y + MARGIN];
            continue;
        }
        const int start_x = cube[3 * other] * (N - 1) - MARGIN * own;
        const int start_z = cube[3 * other + 1] * (N - 1) - MARGIN * own;
        const int start_y = cube[3 * other + 2] * (N - 1) - MARGIN * own;
        int x0, x1, z0, z1, y0, y1;
        points_about(px, size, start_x, own, x0, x1);
        points_about(pz, size, start_z, own, z0, z1);
        points_about(py, size, start_y, own, y0, y1);
        if (x0 > x1 || z0 > z1 || y0 > y1) continue;
        for (int i = x0; i <= x1; ++i) {
            for (int k = z0; k <= z1; ++k) {
                for (int j = y0; j <= y1; ++j) {
                    if (is_own(i, k, j)) continue;
                    const int at_x = start_x + i * own, at_z = start_z + k * own, at_y = start_y + j * own;
                    const int from = owner_of(owner, cell_of(at_x, i - MARGIN), cell_of(at_z, k - MARGIN),
                                              cell_of(at_y, j - MARGIN), size_x, size_z, size_y);
                    if (from != leaf) continue;
                    // Sizes are powers of two: exact.
                    const float f = (float)(size - abs(at_x - px)) / size, g = (float)(size - abs(at_z - pz)) / size,
                                h = (float)(size - abs(at_y - py)) / size;
                    sum += f * g * h * slope[(i * Q + k) * Q + j];
                }
            }
        }
    }
    gradient[(long long)leaf * (N * N * N) + inside] += sum;
}
