"""The octree fit on one GPU or several."""
