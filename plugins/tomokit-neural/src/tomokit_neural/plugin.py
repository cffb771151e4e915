"""The hook by which tomokit finds the neural methods."""

from tomokit.plugin.hookspecs import hookimpl


@hookimpl
def tomokit_register_methods(register):
    """Register the methods `neat` and `implicit`."""
    # Neither module imports PyTorch before a run starts: it takes seconds.
    from tomokit_neural.implicit import Implicit
    from tomokit_neural.neat import Neat

    register(Neat)
    register(Implicit)
