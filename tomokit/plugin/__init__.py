"""The plugin system: hook specifications, manager, and typed options."""
