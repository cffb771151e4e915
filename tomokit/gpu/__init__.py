"""Devices, arrays and kernels on a GPU: all that is known of CuPy and CUDA, and nothing of tomography.

:mod:`tomokit.gpu.interchange` alone imports numba, and nothing imports cupy before a device is asked for.
"""
