"""Everything that stands in for the cloud on one machine. Not deployed."""
