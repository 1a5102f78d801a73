"""All tests. Each folder covers the package of its name; `contracts` holds what every implementation of a port must do."""
