// How a warp reads and writes rows along y: each lane has ROWS = 4 values of a row.
//
// Where all rows are a multiple of four values long (WIDE), a lane's values are neighbours and are read at once;
// otherwise they lie LANES apart, so that the lanes of a warp read neighbours. Lanes beyond the end of a row read its
// last values and write nothing, which spares a comparison at every read.
//
// Defines: LANES; WIDE. Blocks along y are the grid's third axis.

#define ROWS 4

__device__ inline int place_of(int r) {
    const int first = blockIdx.z * (LANES * ROWS), lane = threadIdx.x;
    return first + (WIDE ? ROWS * lane + r : lane + LANES * r);
}

struct Places {
    int first, next[ROWS];  // where the lane's first value lies in a row, and how far on from it each one
};

__device__ inline Places places_of(int n_y) {
    Places places;
    places.first = min(place_of(0), n_y - (WIDE ? ROWS : 1));
#pragma unroll
    for (int r = 0; r < ROWS; ++r) places.next[r] = min(place_of(r), n_y - 1) - places.first;
    return places;
}

// `row` points to the lane's first value.
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

// A row by its number; rows have so many bytes, counted in 64 bits since a volume may have more than 4 GiB.
__device__ inline const float* row_at(const float* __restrict__ first, unsigned number, unsigned bytes) {
    return (const float*)((const char*)first + (unsigned long long)number * bytes);
}
