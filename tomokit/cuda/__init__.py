"""The CUDA backend: kernels, their loader, and the operators and the fit that launch them.

Nothing here but :mod:`tomokit.cuda.cross_node` and :mod:`tomokit.cuda.measures` imports numba, and nothing imports
cupy before a device is asked for.
"""
