"""What is measured and sampled of a field on a GPU."""
