"""python -m metaxy_delta definitions: the features of a project, for the program.

    python -m metaxy_delta definitions [--config-file metaxy.toml] > definitions.json
    metaxy-delta plan --definitions definitions.json

Imports the entrypoints of the configuration, as Metaxy's own command does, and prints the definitions as JSON.
"""

from __future__ import annotations

import argparse
import sys

import metaxy
from metaxy.models.feature import FeatureGraph

from metaxy_delta._settings import Definitions


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m metaxy_delta", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=["definitions"])
    parser.add_argument("--config-file", help="the configuration; by default the one found upward")
    arguments = parser.parse_args()
    metaxy.init(arguments.config_file)
    sys.stdout.write(Definitions().of(FeatureGraph.get_active()).decode() + "\n")


if __name__ == "__main__":
    main()
