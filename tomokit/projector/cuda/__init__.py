"""The projectors on a GPU: kernels, and what launches them."""
