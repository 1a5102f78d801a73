"""How a Microsoft 365 tenant is connected, checked, told of what happens, and let go again."""
