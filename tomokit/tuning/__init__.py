"""The search for settings by views that were not fitted, behind ``tomokit tune``."""
