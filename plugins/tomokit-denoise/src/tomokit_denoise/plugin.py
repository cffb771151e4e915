"""The hook by which tomokit finds the command `denoise`."""

from tomokit.plugin.command import Command
from tomokit.plugin.hookspecs import hookimpl


@hookimpl
def tomokit_register_commands(register):
    """Register the command `denoise`."""
    # PyTorch is not imported before the command has work for it: that takes seconds.
    from tomokit_denoise.command import denoise

    register(Command("denoise", "denoise a tomogram by a network trained on its halves (PyTorch)", denoise))
