// Weight of a vertex column on a detector pixel, from a table.
//
// A vertex column of a leaf, at fixed x and z, meets few detector columns u with weights that do not depend on y: the
// integral of its triangle basis over a pixel (tomokit/projector/vertex_footprint.py). Tables hold them for each
// view, level and class of vertex (3 side_x + side_z; sides 0 lower face, 1 inside, 2 upper face) as KNOTS + 1 rows
// of PAD taps. With q = position - half_width, row j is for the fraction q - floor(q) = j / KNOTS, and tap 0 is the
// pixel floor(q) + 1.
//
// Positions are taken relative to a whole pixel near the leaf before they are rounded to single precision, which leaves
// them exact to some 1e-5 pixels at any distance from the origin.
//
// Defines: N, vertices along an edge; KNOTS; PAD, the most taps.

__device__ inline int side_of(int i) { return i == 0 ? 0 : (i == N - 1 ? 2 : 1); }

// The nine tables of a view and level; table_at says where among them that of a vertex begins.
__device__ inline const float* tables_of(const float* __restrict__ tables, int t, int level, int levels) {
    return tables + ((long long)t * levels + level) * (9 * (KNOTS + 1) * PAD);
}

__device__ inline int table_at(int side_x, int side_z) { return (3 * side_x + side_z) * ((KNOTS + 1) * PAD); }

__device__ inline float table_weight(const float* __restrict__ table, float fraction, int tap) {
    const float scaled = fraction * KNOTS;
    // A fraction just below 1 may round up to KNOTS, and the last row has none after it.
    const int row = min((int)scaled, KNOTS - 1);
    table += row * PAD + tap;
    const float low = table[0], high = table[PAD];
    return low + (scaled - row) * (high - low);
}
