"""Files of other programs: alignments, acquisitions and command files, each read into the types of tomokit."""
