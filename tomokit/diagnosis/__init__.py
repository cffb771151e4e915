"""The geometry of a series, judged by its images: what files cannot say, with how sure it is."""
