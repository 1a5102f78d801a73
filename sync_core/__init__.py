"""What a sync is: pure domain modules, and an engine that drives them through ports."""
