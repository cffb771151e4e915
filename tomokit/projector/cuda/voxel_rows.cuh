// The ROWS = 4 values of a row along y that a lane has.
//
// Where rows are a multiple of four values long they are neighbours, read at once, otherwise LANES apart. Places beyond
// the end are those of the last ones: they are read and not written.
//
// Defines: LANES; WIDE, whether rows are such. Blocks along y are the grid's third axis.

#define ROWS 4

__device__ inline int place_of(int r) {
    const int first = blockIdx.z * (LANES * ROWS), lane = threadIdx.x;
    return first + (WIDE ? ROWS * lane + r : lane + LANES * r);
}

struct Places {
    int first, next[ROWS];  // the others so far on from it
};

__device__ inline Places places_of(int n_y) {
    Places places;
    places.first = min(place_of(0), n_y - (WIDE ? ROWS : 1));
#pragma unroll
    for (int r = 0; r < ROWS; ++r) places.next[r] = min(place_of(r), n_y - 1) - places.first;
    return places;
}

// `row` at the first place.
__device__ inline void load_row(float value[ROWS], const float* __restrict__ row, const Places& places) {
    if (WIDE) {
        const float4 found = *(const float4*)row;
        value[0] = found.x;
        value[1] = found.y;
        value[2] = found.z;
        value[3] = found.w;
        return;
    }
#pragma unroll
    for (int r = 0; r < ROWS; ++r) value[r] = row[places.next[r]];
}

__device__ inline void store_row(float* __restrict__ row, const float value[ROWS], int n_y) {
#pragma unroll
    for (int r = 0; r < ROWS; ++r) {
        if (place_of(r) < n_y) row[place_of(r)] = value[r];
    }
}

__device__ inline void add_row(float sum[ROWS], float weight, const float value[ROWS]) {
#pragma unroll
    for (int r = 0; r < ROWS; ++r) sum[r] += weight * value[r];
}

// A row by its number, of so many bytes.
__device__ inline const float* row_at(const float* __restrict__ first, unsigned number, unsigned bytes) {
    return (const float*)((const char*)first + (unsigned long long)number * bytes);
}
