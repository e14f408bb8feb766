#!/usr/bin/python3
"""Results of pynfs against the table of expected ones; for run-pynfs.

pynfs_results.py codes PYNFS_DIR FLAG|CODE        the codes that carry a flag
pynfs_results.py compare TABLE [--update] RUN...  RUN.json, RUN.log of testserver.py; exit 1 if anything differs
"""
import json
import re
import subprocess
import sys


def codes(folder, what):
    """Codes of tests with the flag `what`, or `what` itself."""
    listing = subprocess.run([sys.executable, "testserver.py", "--showcodesflags"], cwd=folder + "/nfs4.1",
                             stdout=subprocess.PIPE, check=True, text=True).stdout
    for line in listing.splitlines():
        code, _, flags = line.partition(" FLAGS: ")
        if what == code or what in flags.split(", "):
            print(code)


def read_run(run):
    """{code: (pass|fail|skip, message)} of what was selected.  What the JSON does not tell, the log does: tests left
    out for a dependency are listed there, those not asked for are not; UNSUPPORTED passes in the JSON."""
    outcome = {}
    words = {"PASS": "pass", "WARNING": "pass", "FAILURE": "fail", "UNSUPPORTED": "skip", "OMIT": "skip"}
    log = open(run + ".log", errors="replace").read()
    table = log.rsplit("*" * 50 + "\n", 2)
    for match in re.finditer(r"^(\S+) +st_\S+ +: (\w+)\n((?:  +.*\n)*)", table[-2], re.M):
        outcome[match[1]] = (words.get(match[2], "fail"), " ".join(match[3].split()))
    for test in json.load(open(run + ".json"))["testcase"]:
        failed = "failure" in test
        if failed != (outcome.get(test["code"], ("skip", ""))[0] == "fail"):
            sys.exit("run-pynfs: log and JSON of pynfs disagree about " + test["code"])
    return outcome


def read_table(name):
    """{code: (expected, reason)}"""
    table = {}
    try:
        lines = open(name).read().splitlines()
    except FileNotFoundError:
        return table
    for number, line in enumerate(lines, 1):
        if not line or line.startswith("#"):
            continue
        word = line.split(None, 2)
        if len(word) < 2 or word[1] not in ("pass", "fail", "skip") or (word[1] != "pass" and len(word) < 3):
            sys.exit("%s:%d: not `CODE pass|fail|skip REASON': %s" % (name, number, line))
        table[word[0]] = (word[1], word[2] if len(word) > 2 else "")
    return table


def write_table(name, table, outcome):
    """New results; a reason stays as long as the result does."""
    try:
        head = [line for line in open(name).read().splitlines() if line.startswith("#")]
    except FileNotFoundError:
        head = []
    for code, (result, message) in outcome.items():
        if table.get(code, ("",))[0] != result:
            table[code] = (result, "" if result == "pass" else message)

    def order(code):
        return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", code)]
    with open(name, "w") as out:
        for line in head:
            out.write(line + "\n")
        for code in sorted(table, key=order):
            out.write(" ".join((code,) + table[code]).rstrip() + "\n")


def compare(name, update, runs):
    """Print differences and counts; true if there is no difference."""
    outcome = {}
    for run in runs:
        outcome.update(read_run(run))
    if not outcome:
        sys.exit("run-pynfs: no test was run")
    table = read_table(name)
    differ = [code for code in outcome if table.get(code, ("",))[0] != outcome[code][0]]
    for code in differ:
        print("DIFFERS: %s %s, expected %s: %s" % (code, outcome[code][0], table.get(code, ("nothing",))[0],
                                                   outcome[code][1] or "-"))
    if update:
        write_table(name, table, outcome)
    results = [result for result, _ in outcome.values()]
    print("%d passed, %d failed, %d skipped" % tuple(results.count(word) for word in ("pass", "fail", "skip")))
    return not differ


if __name__ == "__main__":
    if sys.argv[1] == "codes":
        codes(*sys.argv[2:])
    else:
        arguments = [word for word in sys.argv[2:] if word != "--update"]
        sys.exit(0 if compare(arguments[0], "--update" in sys.argv, arguments[1:]) else 1)
