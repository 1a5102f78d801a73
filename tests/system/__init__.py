"""The whole app on one machine: real processes, real storage, Microsoft's own worker."""
