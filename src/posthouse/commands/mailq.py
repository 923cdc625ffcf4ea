"""mailq(1): list the queue (sendmail -bp, postqueue -p)."""

import sys

from posthouse.commands import postqueue


def main(argv: list[str] | None = None) -> int:
    """Run; options but -c and --json are Sendmail's and ignored."""
    words = (sys.argv if argv is None else argv)[1:]
    kept = ["--json"] if "--json" in words else ["-p"]
    if "-c" in words[:-1]:
        kept += ["-c", words[words.index("-c") + 1]]
    return postqueue.main(["mailq", *kept])
