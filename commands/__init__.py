"""Commands for operators. All they need is the app's settings: `python -m commands.leave`, `python -m commands.old_folder`."""
