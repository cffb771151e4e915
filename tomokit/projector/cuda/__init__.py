"""The projectors on a GPU: CUDA kernels, and the classes that launch them."""
