"""Settings of the projector's tests."""

import os

# As the driver does: OpenMP's threads are not to spin on a core that another process wants.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
