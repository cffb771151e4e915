"""The regularizer `patch-nlm` for tomokit."""
