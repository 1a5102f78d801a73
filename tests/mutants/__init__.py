"""Do the tests notice faults? Small ones everywhere in the pure core, and planted ones in the engine and its adapters."""
