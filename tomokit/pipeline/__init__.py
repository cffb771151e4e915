"""The pipeline: a request becomes a tomogram, by any method, with its checks, scores, state and outputs."""
