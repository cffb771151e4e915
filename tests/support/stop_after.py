"""A request to stop that comes at a chosen moment of a run."""

from __future__ import annotations

from tomokit.pipeline.signals import Stop


class StopAfter(Stop):
    """Asks a run to end when it has been looked at so often: between any two steps, and before every epoch."""

    def __init__(self, looks: int) -> None:
        super().__init__()
        self.left = looks

    @property
    def requested(self) -> bool:
        self.left -= 1
        if self.left < 0:
            self.signal = "SIGTERM"
        return self.signal is not None
