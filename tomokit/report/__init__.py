"""Reports: everything that is known of up to four tomograms, as one HTML file that needs nothing else."""
