"""HTTP for admins."""
