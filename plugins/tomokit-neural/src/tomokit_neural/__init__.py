"""The neural methods `neat` and `implicit` for tomokit."""
