"""Command line of the harness: `PYTHON internal_harness --spec SPEC --out result.jsonl`.

Standalone: it needs torch and transformers in the interpreter that runs it, and nothing of
reprokit. SPEC is JSON text or the path of a JSON file. Exit codes: 0 measured, 1 an exception
(recorded in the result file and on standard error), 2 a wrong command line.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from failure_record import describe
from result_file import ResultFile
from spec import load_spec


def main() -> None:
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(prog="internal_harness", description="Prefill and decode.")
    parser.add_argument("--spec", required=True, help="JSON text, or the path of a JSON file")
    parser.add_argument("--out", required=True, type=Path, help="result file; must not exist yet")
    arguments = parser.parse_args()
    with ResultFile(arguments.out) as results:
        try:
            spec = load_spec(arguments.spec)
            # Imported here, so that a broken torch is recorded like every other failure.
            from bench import measure

            measure(spec, results)
        except Exception as error:
            results.write("failure", describe(error))
            raise


if __name__ == "__main__":
    main()
