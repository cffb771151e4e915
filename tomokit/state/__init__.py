"""The state of a run in a file: all that is needed to continue it, or to sample its density, on any machine."""
