"""The regularizers on a GPU: kernels, and what launches them."""
