"""Fiducials: models of them read, beads found without one, fitted to the tilt geometry, and masked."""
