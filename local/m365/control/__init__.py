"""What another process may do to a running stand-in, under `/control`; `switches` lists it."""
