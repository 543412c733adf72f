#!/usr/bin/env python3
"""record.py - appends one row of `apr bench --json` to bench/history.csv and prints it.

usage: bench/record.py FIGURES.json MODEL_NAME COMMIT INSTRUCTIONS HISTORY.csv

No paths and no host names get into the history: only what a figure depends on.
"""
import csv
import datetime
import json
import os
import sys

# Figures of the recorded suite: column prefix, test, depth, batch.
FIGURES = [("prefill", "prefill", 0, 1), ("prefill_2k", "prefill", 2048, 1),
           ("decode", "decode", 0, 1), ("decode_2k", "decode", 2048, 1),
           ("decode_x8", "decode", 0, 8)]
COLUMNS = (["date", "commit", "model", "cpu", "cpu_level", "threads", "runs", "read_gb_per_s",
            "matrix_gop_per_s", "matrix_peak"]
           + [prefix + suffix for prefix, *_ in FIGURES
              for suffix in ("", "_lo", "_hi", "_of_limit")]
           + ["first_token_ms", "load_ms", "peak_mib", "step_minstructions"])


def number(value, digits=5):
    return f"{value:.{digits}g}"


def row_of(doc, name, commit, instructions):
    limits = doc["limits"]
    row = {"date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d"),
           "commit": commit, "model": name, "cpu": doc["cpu"], "cpu_level": doc["cpu_level"],
           "threads": doc["threads"], "runs": doc["runs"],
           "read_gb_per_s": number(limits["read_bytes_per_s"] / 1e9),
           "matrix_gop_per_s": number(limits["matrix_peak"]["ops_per_s"] / 1e9),
           "matrix_peak": limits["matrix_peak"]["name"],
           "load_ms": number(doc["load_s"]["median"] * 1e3),
           "peak_mib": number((doc["peak_memory_bytes"] or 0) / 2**20),
           "step_minstructions": number(int(instructions) / 1e6, 8) if instructions else ""}
    for prefix, test, depth, batch in FIGURES:
        for r in doc["results"]:
            if (r["test"], r["depth"], r["batch"]) != (test, depth, batch):
                continue
            rate = r["tokens_per_s"]
            row[prefix] = number(rate["median"])
            row[prefix + "_lo"], row[prefix + "_hi"] = map(number, rate["interval"])
            row[prefix + "_of_limit"] = number(r["fraction_of_limit"], 4)
            if prefix == "prefill":
                row["first_token_ms"] = number(r["first_token_s"]["median"] * 1e3)
    return row


def main():
    if len(sys.argv) != 6:
        sys.exit(__doc__)
    figures, name, commit, instructions, history = sys.argv[1:]
    with open(figures, encoding="utf-8") as f:
        row = row_of(json.load(f), name, commit, instructions)
    is_new = not os.path.exists(history) or os.path.getsize(history) == 0
    with open(history, "a", encoding="utf-8", newline="") as f:
        writer = csv.DictWriter(f, COLUMNS, lineterminator="\n")
        if is_new:
            writer.writeheader()
        writer.writerow(row)
    for prefix, *_ in FIGURES:
        if prefix in row:
            of_limit = 100 * float(row[prefix + "_of_limit"])
            print(f"{prefix:12} {row[prefix]:>8} tok/s [{row[prefix + '_lo']}, "
                  f"{row[prefix + '_hi']}], {of_limit:.1f} % of limit")
    print(f"a decode step: {row['step_minstructions'] or 'unknown'} million instructions")


if __name__ == "__main__":
    main()
