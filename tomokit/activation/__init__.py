"""The field on the leaves: from stored values to densities."""
