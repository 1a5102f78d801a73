"""Where people come from: one module for each kind of source, behind the protocol in `base`."""
