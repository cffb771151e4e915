"""The hook by which tomokit finds the regularizer."""

from tomokit.plugin.hookspecs import hookimpl


@hookimpl
def tomokit_register_regularizers(register):
    """Register the regularizer `patch-nlm`."""
    # Imported here, so that `tomokit --help` does not wait for it.
    from tomokit_patch_nlm.regularizer import PatchNlm

    register(PatchNlm)
