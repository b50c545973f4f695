"""Body of the process that answers one SPARQL query, so that limits on time, memory and answer are hard.

Reads a store's folder, writes the answer as CSV to standard output, and the names of its columns or a
refusal as one JSON object to standard error. It imports nothing of ours.
"""

from __future__ import annotations

import errno
import json
import resource
import sys

import pyoxigraph as ox

REFUSED = 3  # exit status after a refusal was written
TOO_LONG = 4  # exit status where the answer is longer than allowed


def main(argument: str) -> int:
    """Answer the query of the task {"folder", "query", "seconds", "memory", "answer"}."""
    task = json.loads(argument)
    resource.setrlimit(resource.RLIMIT_CPU, (task["seconds"], task["seconds"] + 1))
    resource.setrlimit(resource.RLIMIT_AS, (task["memory"], task["memory"]))
    resource.setrlimit(resource.RLIMIT_FSIZE, (task["answer"], task["answer"]))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    store = ox.Store.read_only(task["folder"])
    try:
        answer = store.query(task["query"])
    except SyntaxError as error:
        sys.stderr.write(json.dumps({"refused": f"not a SPARQL query: {error.msg}"}))
        return REFUSED
    if not isinstance(answer, ox.QuerySolutions):
        sys.stderr.write(json.dumps({"refused": "only SELECT queries are answered"}))
        return REFUSED
    names = [variable.value for variable in answer.variables]
    try:
        answer.serialize(sys.stdout.buffer, format=ox.QueryResultsFormat.CSV)
        sys.stdout.buffer.flush()
    except OSError as error:
        if error.errno != errno.EFBIG:
            raise
        sys.stdout = None  # what it still holds has no place either
        return TOO_LONG
    sys.stderr.write(json.dumps({"names": names}))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
