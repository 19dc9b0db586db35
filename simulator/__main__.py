"""``python -m simulator --port N --dir DIR``."""

from __future__ import annotations

import argparse

from simulator.options import add_arguments, from_arguments
from simulator.server import serve


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="simulator", description="WeChat Pay and Alipay stand-ins on 127.0.0.1"
    )
    add_arguments(parser)
    serve(from_arguments(vars(parser.parse_args())))


if __name__ == "__main__":
    main()
