"""What tomokit finds: the hook."""

from tomokit.plugin.hookspecs import hookimpl


@hookimpl
def tomokit_register_regularizers(register):
    """Bring the regularizer."""
    # Imported here, so that `tomokit --help` does not wait for it.
    from tomokit_patch_nlm.regularizer import PatchNlm

    register(PatchNlm)
