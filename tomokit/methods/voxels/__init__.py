"""Methods on a grid of voxels: WBP, SIRT, SART, SART+TV and converged total variation."""
