"""What tomokit finds: the hook."""

from tomokit.plugin.hookspecs import hookimpl


@hookimpl
def tomokit_register_methods(register):
    """Bring both methods."""
    # Neither module imports PyTorch before a run starts: it takes seconds.
    from tomokit_neural.implicit import Implicit
    from tomokit_neural.neat import Neat

    register(Neat)
    register(Implicit)
