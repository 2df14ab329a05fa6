"""Command line of the harness: one spec, or several one after the other in the same process.

    PYTHON internal_harness --spec SPEC --out result.jsonl
    PYTHON internal_harness --batch BATCH [--batch BATCH ...]

Standalone: it needs torch and transformers in the interpreter that runs it, and nothing of
reprokit. SPEC and BATCH are JSON text or the path of a JSON file (`batch.py` has the form of a
batch). Exit codes: 0 measured, 1 an exception (recorded in the result file and on standard error),
2 a wrong command line.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from batch import BatchError, load_entries, run_batch
from failure_record import describe
from result_file import ResultFile
from spec import load_spec


def main() -> None:
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(prog="internal_harness", description="Prefill and decode.")
    asked = parser.add_mutually_exclusive_group(required=True)
    asked.add_argument("--spec", help="JSON text, or the path of a JSON file")
    asked.add_argument(
        "--batch", action="append", help="several specs, as JSON text or the path of a JSON file"
    )
    parser.add_argument("--out", type=Path, help="result file of --spec; must not exist yet")
    arguments = parser.parse_args()
    if (arguments.out is None) == (arguments.spec is not None):
        parser.error("--spec needs --out, and --batch has a place for each result of its own")
    if arguments.spec is not None:
        _measure_one(arguments.spec, arguments.out)
        return
    try:
        entries = load_entries(arguments.batch)
    except BatchError as error:
        parser.error(str(error))
    sys.exit(run_batch(entries))


def _measure_one(spec: str, out: Path) -> None:
    with ResultFile(out) as results:
        try:
            asked = load_spec(spec)
            # Imported here, so that a broken torch is recorded like every other failure.
            from session import Session

            Session().measure(asked, results)
        except Exception as error:
            results.write("failure", describe(error))
            raise


if __name__ == "__main__":
    main()
