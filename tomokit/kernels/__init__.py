"""Numba functions of the CPU: how they are compiled, and where their machine code is kept between processes."""
