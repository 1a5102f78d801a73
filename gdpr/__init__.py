"""Privacy: encryption, retention and purge."""
