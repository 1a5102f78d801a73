"""`python -m local demo`: the demo on any machine that has Python, set up on first use."""

import sys

from local import bootstrap

USAGE = "usage: python -m local demo [--plain] [--serve] [--tenant FILE] [--record LOG]"


def main() -> None:
    """Set up if need be, then run the demo."""
    if sys.argv[1:2] != ["demo"]:
        sys.exit(USAGE)
    bootstrap.enter("local")
    from local.demo import cli

    sys.exit(cli.main(sys.argv[2:]))


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
