"""The desk: the pages on which a coordination team works. Django lives in this folder and nowhere else."""
