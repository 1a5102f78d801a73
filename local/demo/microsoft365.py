"""The Microsoft 365 stand-in as a child process: `local.m365`, ending when its parent does."""

from __future__ import annotations

import sys

from local.processes import exit_with_parent

if __name__ == "__main__":
    exit_with_parent()  # before the imports that take time
    from local.m365.__main__ import main

    sys.exit(main())
