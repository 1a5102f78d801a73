"""One history of mirrored calendars: what may happen (a module for each side of it), and what must hold at the end."""
