"""The voxel methods' iterations on a GPU."""
