"""Commands for operators, run as `python -m commands.leave` and so on. All they need is the app's settings."""
