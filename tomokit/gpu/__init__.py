"""The CUDA backend: kernels, their loader, and the operators and the fit that launch them.

Nothing here but :mod:`tomokit.regularizers.cuda.cross_node` and :mod:`tomokit.octree.cuda.error_indicators` imports
numba, and nothing imports cupy before a device is asked for.
"""
